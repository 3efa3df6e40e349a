"""The table of what keeps depth alive, each alone and all that fit together: the rows of test_remedies."""

from typing import Any

REMEDIES: dict[str, dict[str, Any]] = {
    "deep_norm": {"residual": "deep_norm"},
    "rezero": {"residual": "rezero"},
    "branch_scale": {"branch_scale": "inverse_sqrt_depth"},
    "layer_scale": {"layer_scale": 0.1},
    "stochastic_depth": {"stochastic_depth": 0.5},
    "qk_norm": {"qk_norm": True},
    "positions_reinjected": {"positions_reinjected": True},
    "together": {
        "residual": "post_norm", "branch_scale": "inverse_sqrt_depth", "layer_scale": 0.1, "stochastic_depth": 0.5,
        "qk_norm": True, "positions_reinjected": True,
    },
}  # fmt: skip
