"""M10, order: do the answers move when the words of a text are permuted, and does the accuracy?

Two verdicts come from here that must not be mixed up: whether this model uses positions, and whether these data need
them. A model that is blind to order says nothing of the second.

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
from .streams import permuted


@dataclass(frozen=True)
class Order:
    """`distance`: how far permuted answers move, relative to the answers of two different texts; `flips`: share of
    texts whose class changes; `drop`: accuracy lost (a share), and `accuracy` itself, UNKNOWN without labels."""

    distance: Measured
    flips: float
    accuracy: Measured
    drop: Measured


def order(stack: Stack, batches: Sequence[Batch], seed: int = 0) -> Order:
    natural, moved = answers(stack, batches), answers(stack, [permuted(one, seed + 1) for one in batches])
    flips = float((natural.argmax(1) != moved.argmax(1)).mean())
    accuracy = drop = UNKNOWN
    if all(batch.labels is not None for batch in batches):
        truth = truths(batches)
        accuracy = of_right(natural.argmax(1) == truth)
        lost = paired_difference(truth, natural.argmax(1), moved.argmax(1), natural.shape[1], seed=seed)
        drop = Measured(lost["value"], lost["low"], lost["high"])
    return Order(relative(natural, moved), flips, accuracy, drop)


def relative(natural: NDArray[np.float64], moved: NDArray[np.float64]) -> Measured:
    """Distance of each text's two answers, relative to that of two texts; answers are centered over classes.

    0 where nothing moves, even if all texts have one answer.
    """
    natural, moved = (one - one.mean(1, keepdims=True) for one in (natural, moved))
    step = np.linalg.norm(natural - moved, axis=1)
    # Each text beside those a third and two thirds of the way on: pairs enough, and a number a text to resample.
    apart = np.mean([np.linalg.norm(natural - np.roll(natural, way, 0), axis=1)
                     for way in {max(1, len(natural) // 3), max(1, 2 * len(natural) // 3)}], 0)  # fmt: skip
    if not step.any():
        return Measured(0.0, 0.0, 0.0)
    if not apart.any():
        return UNKNOWN
    return over_texts(lambda weights: (weights @ step) / (weights @ apart), len(step))


def answers(stack: Stack, batches: Sequence[Batch]) -> NDArray[np.float64]:
    """One row a text."""
    return np.concatenate([stack.answers(batch).cpu().numpy() for batch in batches])


def truths(batches: Sequence[Batch]) -> NDArray[np.int64]:
    return torch.cat([batch.labels for batch in batches if batch.labels is not None]).cpu().numpy()


def of_right(right: NDArray[np.bool_]) -> Measured:
    """A share of rows, with Wilson's interval at three standard errors: honest at 0 and 1."""
    rows, share, z = len(right), float(right.mean()), 3.0
    center = (share + z**2 / (2 * rows)) / (1 + z**2 / rows)
    half = z * float(np.sqrt(share * (1 - share) / rows + (z / (2 * rows)) ** 2)) / (1 + z**2 / rows)
    return Measured(share, min(share, center - half), max(share, center + half))
