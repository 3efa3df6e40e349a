"""Where health ends: one line a verdict, with the side that is ill and where the number comes from.

"fixed on planted stacks" numbers were chosen on depths 3 and 6 of `benchmarks/planted` and scored on others.
"""

from typing import Literal, NamedTuple


class Threshold(NamedTuple):
    """The verdict holds where the measured number is on `side` of `value`; `log` numbers are compared as ratios."""

    value: float
    side: Literal["below", "above"]
    source: str
    log: bool = False


PLANTED = "fixed on planted stacks"

THRESHOLDS: dict[str, Threshold] = {
    "padding_leak": Threshold(1e-3, "above", "exact models differ by rounding alone"),
    "stream_gradient_vanishing": Threshold(1e-3, "below", "AutoTrainer's ratio of first to last (ICSE 2021)", log=True),
    "stream_gradient_exploding": Threshold(1e3, "above", "the inverse of vanishing", log=True),
    "query_key_starvation": Threshold(1e-3, "below", PLANTED, log=True),
    "rank_collapse": Threshold(0.1, "below", PLANTED),
    "entropy_collapse": Threshold(1.0, "below", "twice the critical spread of Gaussian logits, arXiv 2505.24333"),
    "attention_uniform": Threshold(0.01, "below", PLANTED),
    "attention_sink": Threshold(0.3, "above", "arXiv 2410.10781, beyond a uniform look"),
    "massive_activations": Threshold(100.0, "above", PLANTED),
    "position_absent": Threshold(0.1, "below", PLANTED),
    "position_diluted": Threshold(0.05, "below", PLANTED),
    "position_lost": Threshold(0.1, "below", PLANTED),
    "position_flooding": Threshold(0.9, "above", PLANTED),
    "order_unused": Threshold(0.02, "below", PLANTED),
    "order_not_needed": Threshold(0.02, "below", "two points of accuracy"),
    "dead_layers": Threshold(0.05, "below", PLANTED),
    "identical_layers": Threshold(0.999, "above", PLANTED),
    "overfitting": Threshold(0.15, "above", PLANTED),
    "cannot_train": Threshold(0.1, "below", PLANTED),
    "cost_exponential": Threshold(10.0, "above", "difference of BIC, Kass and Raftery 1995"),
    "memory_quadratic": Threshold(0.001, "above", "fused attention keeps no weights, arXiv 2205.14135"),
}
