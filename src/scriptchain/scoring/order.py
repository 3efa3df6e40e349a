"""Does word order matter: to the data, and to the model? The same texts, scored with their words shuffled.

Shuffled texts are unlike anything seen in training, so a drop in accuracy is evidence and not proof; but a model whose
logits do not move reads no order in these texts.
"""

import math
from hashlib import blake2b
from random import Random
from typing import NotRequired, TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import DataError
from .intervals import Interval, paired_difference


class ModelUsesOrder(TypedDict):
    """`flip_rate`: the share of rows whose label changes; `logit_distance`: how far logits move, in typical norms."""

    flip_rate: float
    logit_distance: float


class OrderEffect(TypedDict):
    """`data_needs_order`: accuracy points (0 to 100) that shuffling costs, absent without truth; `model_uses_order`."""

    data_needs_order: NotRequired[Interval]
    model_uses_order: ModelUsesOrder


def shuffle_words(text: str, seed: int = 0) -> str:
    """The white-space words of a text in another order, joined by spaces; a text without two distinct words as it is.

    The order depends on the seed and the text alone, never on the texts around it.
    """
    words = text.split()
    if len(set(words)) < 2:
        return text
    generator = own_random(text, seed)
    shuffled = words.copy()
    while shuffled == words:
        generator.shuffle(shuffled)
    return " ".join(shuffled)


def own_random(text: str, seed: int) -> Random:
    """A generator that depends on the seed and the text alone."""
    key = blake2b(f"{seed}\0{text}".encode("utf-8", "surrogatepass"), digest_size=16).digest()
    return Random(int.from_bytes(key, "big"))


def order_effect(truth: ArrayLike | None, logits: ArrayLike, logits_shuffled: ArrayLike, seed: int = 0) -> OrderEffect:
    """What shuffling the words did to the accuracy, the labels and the logits of the same N rows.

    Shapes: truth (N,) or None, both logits (N, C). Logits are centered over the classes of each row, for a constant
    added to a row changes no probability. `logit_distance` is the mean Euclidean distance between a row's two logits,
    divided by the root mean square norm of the unshuffled ones: 0 where both are constant, infinite where only the
    unshuffled are.
    """
    logits_NC, shuffled_NC = np.asarray(logits, np.float64), np.asarray(logits_shuffled, np.float64)
    if logits_NC.ndim != 2 or logits_NC.size == 0 or logits_NC.shape != shuffled_NC.shape:
        raise DataError(f"logits must be two equal rows x classes, got {logits_NC.shape} and {shuffled_NC.shape}")
    label_N, shuffled_label_N = logits_NC.argmax(axis=1), shuffled_NC.argmax(axis=1)
    if not (np.isfinite(logits_NC).all() and np.isfinite(shuffled_NC).all()):
        raise DataError("logits must be finite, got NaN or infinity")
    effect: OrderEffect = {
        "model_uses_order": {
            "flip_rate": float((label_N != shuffled_label_N).mean()),
            "logit_distance": _distance(_centered(logits_NC), _centered(shuffled_NC)),
        }
    }
    if truth is not None:
        drop = paired_difference(truth, label_N, shuffled_label_N, logits_NC.shape[1], seed=seed)
        effect["data_needs_order"] = {
            "value": 100 * drop["value"],
            "low": 100 * drop["low"],
            "high": 100 * drop["high"],
        }
    return effect


def _centered(logits_NC: NDArray[np.float64]) -> NDArray[np.float64]:
    relative_NC = logits_NC - logits_NC[:, :1]  # first, so that a constant row becomes exactly 0
    return relative_NC - relative_NC.mean(axis=1, keepdims=True)


def _distance(logits_NC: NDArray[np.float64], shuffled_NC: NDArray[np.float64]) -> float:
    moved = float(np.linalg.norm(logits_NC - shuffled_NC, axis=1).mean())
    typical = math.sqrt((logits_NC**2).sum(axis=1).mean())
    if typical > 0:
        return moved / typical
    return math.inf if moved > 0 else 0.0
