"""A frozen encoder with a linear head: each text is read once, then the head is a logistic regression.

With `contrastive_steps` the encoder learns from pairs of texts before it is frozen.

Penalty and weights of the classes are chosen by validation macro-F1, as those of the baseline.
"""

import time
from itertools import product
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ..config import Config
from ..data import batches
from ..data.ragged import lengths
from ..model.pipeline import Network
from ..report import Stream, in_turn
from .baseline import BALANCES, every_class, fit_regression, validation_scores
from .contrast import draw_together, vectors_of
from .loop import Examples, Outcome, accelerator_for

STRENGTHS = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)  # scikit-learn's C, the inverse of the penalty
ALONE = 0.1  # without validation rows: labels are few then, and little penalty fits them too closely
AT_ONCE = 64  # texts


def fit_head(
    network: Network, train: Examples, config: Config, *, validation: Examples | None = None, device: str = "auto",
    stream: Stream | None = None,
) -> Outcome:  # fmt: skip
    """Fits the last layer in place; the history is one record.

    Without validation C is 0.1 and classes weigh the same.

    *Raises*: UsageError for a device that is not there.
    """
    start = time.perf_counter()
    last = network.head.mlp[-1]
    assert isinstance(last, nn.Linear)
    if config.contrastive_steps:
        draw_together(network, train, config, device=device, stream=stream)
    network.to(accelerator_for(device, config.precision).device)
    features = read(network, train, stream)
    held_out = None if validation is None else read(network, validation, None)
    network.to("cpu")

    def fitted(strength: float, balance: Any) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        model = fit_regression(features, train.labels, train.weights.astype(np.float64), strength, balance, config.seed)
        return every_class(model.classes_, model.coef_, np.asarray(model.intercept_), last.out_features)

    record: dict[str, Any] = {"epoch": 1, "step": 0}
    if validation is None or held_out is None:
        coef, intercept = fitted(ALONE, "balanced")
    else:

        def scores(parts: tuple[NDArray[np.floating], NDArray[np.floating]]) -> dict[str, float]:
            return validation_scores(held_out @ parts[0].T + parts[1], validation.labels)

        found = [fitted(*choice) for choice in product(STRENGTHS, BALANCES)]
        coef, intercept = best = max(found, key=lambda parts: scores(parts)["validation_macro_f1"])
        record |= scores(best)
    with torch.no_grad():
        last.weight.copy_(torch.from_numpy(np.asarray(coef, np.float32)))
        last.bias.copy_(torch.from_numpy(np.asarray(intercept, np.float32)))
    return Outcome([record], 1, 0, time.perf_counter() - start)


def read(network: Network, examples: Examples, stream: Stream | None) -> NDArray[np.float64]:
    """What the head's last layer sees of each text, `(N, d_model * pooled_layers)`."""
    network.eval()
    device = next(network.parameters()).device
    order = np.argsort(lengths(examples.ids), kind="stable")
    parts = []
    with torch.inference_mode():
        for part in in_turn(len(order), AT_ONCE, "the frozen encoder read", stream):
            rows = order[part]
            ids, mask = (torch.from_numpy(one).to(device) for one in batches.pad(examples.ids, rows))
            parts.append(vectors_of(network, ids, mask).double().cpu().numpy())
    return np.concatenate(parts)[np.argsort(order)]
