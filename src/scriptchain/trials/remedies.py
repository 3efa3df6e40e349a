"""What is tried against what: config changes by name, the verdicts that each is said to cure, and who says so."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch._subclasses.fake_tensor import FakeTensorMode

from ..config import Config, replace
from ..errors import ConfigError
from ..model.pipeline import Network

Changes = Callable[[Config], dict[str, Any]]

STARVED = ("query_key_starvation", "rank_collapse", "attention_uniform", "stream_gradient_vanishing", "cannot_train")
SHAKY = ("stream_gradient_exploding", "massive_activations", "cannot_train")
FADING = ("position_diluted", "position_lost")
WHOLE: dict[str, Any] = {"residual_scale": 1.0}  # what makes branches small must not do so twice


@dataclass(frozen=True)
class Remedy:
    name: str
    changes: Changes
    cures: tuple[str, ...]
    source: str


def _always(**changes: Any) -> Changes:
    return lambda config: changes


def _layer_scale(config: Config) -> dict[str, Any]:
    """The deeper, the smaller the start."""
    return {"residual": "pre_norm", "layer_scale": 0.1 if config.num_layers <= 18 else 1e-2, **WHOLE}


def _positions(name: str) -> Changes:
    return lambda config: {"positions": name, "positions_options": {}, "positions_reinjected": False}


REMEDIES = (
    Remedy("pre_norm", _always(residual="pre_norm", **WHOLE), STARVED, "arXiv 2002.04745"),
    Remedy("deep_norm", _always(residual="deep_norm", **WHOLE), STARVED, "arXiv 2203.00555"),
    Remedy("branches x T^-1/2", _always(branch_scale="inverse_sqrt_depth", **WHOLE), (*STARVED, *SHAKY),
           "arXiv 2206.03126"),
    Remedy("layer_scale", _layer_scale, (*STARVED, *SHAKY), "arXiv 2103.17239"),
    Remedy("rezero", _always(residual="rezero", layer_scale=0.0, **WHOLE), (*STARVED, *SHAKY), "arXiv 2003.04887"),
    Remedy("warm-up", lambda config: {"warmup": max(0.2, config.warmup)}, ("cannot_train",), "arXiv 2002.04745"),
    Remedy("qk_norm", _always(qk_norm=True), ("entropy_collapse", "attention_sink"), "arXiv 2010.04245"),
    Remedy(
        "words at the scale of positions", lambda config: {"embedding_std": 0.02, "embedding_norm": True},
        ("position_absent", "order_unused"), "arXiv 2212.05262",
    ),
    Remedy("positions in the scores", _positions("t5_bias"), (*FADING, "position_absent", "order_unused"),
           "arXiv 2006.15595"),
    Remedy("rotated queries and keys", _positions("rope"), (*FADING, "position_absent", "order_unused"),
           "arXiv 2104.09864"),
    Remedy("positions at every layer", _always(positions_reinjected=True), FADING, "arXiv 2212.05262"),
    Remedy("stochastic_depth", _always(stochastic_depth=0.2), ("overfitting",), "arXiv 1603.09382"),
    Remedy("more dropout", lambda config: {"dropout": min(0.5, config.dropout + 0.2)}, ("overfitting",),
           "Srivastava et al. 2014"),
    Remedy("half the layers", lambda config: {"num_layers": max(1, config.num_layers // 2)},
           ("dead_layers", "overfitting", "cannot_train"), "arXiv 2403.17887"),
)  # fmt: skip


def remedies_for(config: Config, verdicts: Collection[str]) -> list[tuple[Remedy, Config]]:
    """Those that are said to cure one of the verdicts and can be combined with the config, each with its config."""
    found = []
    for remedy in REMEDIES:
        if not set(remedy.cures) & set(verdicts):
            continue
        try:
            changed = replace(config, **remedy.changes(config))
            with FakeTensorMode(allow_non_fake_inputs=True):  # some contradictions show only where a stack is built
                Network(changed, vocab_size=300, num_classes=2)
        except ConfigError:  # two keys that contradict each other: this config cannot have it
            continue
        if changed != config:
            found.append((remedy, changed))
    return found


def random_change(config: Config, seed: int) -> tuple[str, Config]:
    """A change that is said to cure nothing: what trying anything would bring."""
    choices: list[dict[str, Any]] = [
        {"activation": "relu" if config.activation == "gelu" else "gelu"},
        {"dropout": round(abs(config.dropout - 0.05), 3)},
        {"head_layers": [] if config.head_layers else [config.d_model]},
        {"batch_tokens": max(config.max_seq_len, config.batch_tokens // 2)}
        if config.batch_tokens
        else {"batch_size": max(2, config.batch_size // 2)},
        {"weight_decay": config.weight_decay / 2 if config.weight_decay else 0.01},
    ]
    changes = choices[int(np.random.default_rng(seed).integers(len(choices)))]
    return ", ".join(f"{key} = {value}" for key, value in changes.items()), replace(config, **changes)
