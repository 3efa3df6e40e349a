"""M10, order: do the answers move when the words of a text are permuted, and does the accuracy?

Two verdicts come from here that must not be mixed up: whether this model uses positions, and whether these data need
them. A model that is blind to order says nothing of the second. How far answers move is compared with other words in
the same places: two texts differ in their lengths too, which outweighs all words where positions flood the stream.

*Source*: arXiv 2104.06644, 2012.15180.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ..scoring.intervals import paired_difference
from .intervals import UNKNOWN, Measured, over_texts
from .stack import Batch, Stack
from .streams import permuted, reworded

REWORDED = 2  # times that other words are drawn for each text


@dataclass(frozen=True)
class Order:
    """`distance`: how far permuted answers move, relative to those of other words in the same places; `flips`: share
    of texts whose class changes. Of held-out texts where there are any, since the order of a text can be memorized:
    `accuracy`, `drop` of it when words are permuted (shares) and `majority`, UNKNOWN and 1 without labels."""

    distance: Measured
    flips: float
    accuracy: Measured
    drop: Measured
    majority: float


def order(stack: Stack, batches: Sequence[Batch], held_out: Sequence[Batch] = (), seed: int = 0) -> Order:
    natural, moved = answers(stack, batches), answers(stack, [permuted(one, seed + 1) for one in batches])
    others = [answers(stack, reworded(batches, seed + turn)) for turn in range(REWORDED)]
    distance, flips = relative(natural, moved, others), float((natural.argmax(1) != moved.argmax(1)).mean())
    scored = list(held_out) or list(batches)
    if any(batch.labels is None for batch in scored):
        return Order(distance, flips, UNKNOWN, UNKNOWN, 1.0)
    if held_out:
        natural, moved = answers(stack, scored), answers(stack, [permuted(one, seed + 1) for one in scored])
    truth = truths(scored)
    lost = paired_difference(truth, natural.argmax(1), moved.argmax(1), natural.shape[1], seed=seed)
    drop = Measured(lost["value"], lost["low"], lost["high"])
    return Order(distance, flips, of_right(natural.argmax(1) == truth), drop, majority_share(truth))


def relative(
    natural: NDArray[np.float64], moved: NDArray[np.float64], others: Sequence[NDArray[np.float64]] | None = None
) -> Measured:
    """Distance of each text's two answers, relative to its mean distance from `others`; answers are centered over
    classes.

    Others are the same number of rows each, by default the answers of two other texts. 0 where nothing moves, even if
    all texts have one answer.
    """
    if others is None:  # a third and two thirds of the way on: pairs enough, and a number a text to resample
        others = [np.roll(natural, way, 0) for way in {max(1, len(natural) // 3), max(1, 2 * len(natural) // 3)}]
    step, apart = _distance(natural, moved), np.mean([_distance(natural, one) for one in others], 0)
    if not step.any():
        return Measured(0.0, 0.0, 0.0)
    if not apart.any():
        return UNKNOWN
    return over_texts(lambda weights: (weights @ step) / (weights @ apart), len(step))


def _distance(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    difference = one - other
    return np.linalg.norm(difference - difference.mean(1, keepdims=True), axis=1)


def answers(stack: Stack, batches: Sequence[Batch]) -> NDArray[np.float64]:
    """One row a text."""
    return np.concatenate([stack.answers(batch).cpu().numpy() for batch in batches])


def truths(batches: Sequence[Batch]) -> NDArray[np.int64]:
    return torch.cat([batch.labels for batch in batches if batch.labels is not None]).cpu().numpy()


def majority_share(truth: NDArray[np.int64]) -> float:
    """The share of the most frequent class."""
    return float(np.bincount(truth).max() / len(truth))


def of_right(right: NDArray[np.bool_]) -> Measured:
    """A share of rows, with Wilson's interval at three standard errors: honest at 0 and 1."""
    rows, share, z = len(right), float(right.mean()), 3.0
    center = (share + z**2 / (2 * rows)) / (1 + z**2 / rows)
    half = z * float(np.sqrt(share * (1 - share) / rows + (z / (2 * rows)) ** 2)) / (1 + z**2 / rows)
    return Measured(share, min(share, center - half), max(share, center + half))
