"""M11 for one model: what it fits of the texts that it learned from, and what it keeps on texts that it never saw.

Two diseases look alike from one side: a model that cannot train has no gap, and one that memorizes has no error.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .intervals import Measured
from .order import answers, majority_share, of_right, truths
from .stack import Batch, Stack


@dataclass(frozen=True)
class Fitting:
    """`learned`: accuracy beyond the most frequent class, 0 there and 1 where all is right; `gap`: accuracy lost on
    held-out texts, None without them. Shares."""

    accuracy: Measured
    majority: float
    learned: Measured
    gap: Measured | None


def fitting(stack: Stack, batches: Sequence[Batch], held_out: Sequence[Batch] | None) -> Fitting | None:
    """None without labels."""
    if any(batch.labels is None for batch in batches):
        return None
    accuracy, majority = _scored(stack, batches)
    learned = accuracy.scaled(1 / (1 - majority), -majority / (1 - majority)) if majority < 1 else accuracy
    gap = None
    if held_out:
        other, _ = _scored(stack, held_out)
        half = float(np.hypot(accuracy.high - accuracy.low, other.high - other.low)) / 2
        value = accuracy.value - other.value
        gap = Measured(value, value - half, value + half)
    return Fitting(accuracy, majority, learned, gap)


def _scored(stack: Stack, batches: Sequence[Batch]) -> tuple[Measured, float]:
    truth = truths(batches)
    return of_right(answers(stack, batches).argmax(1) == truth), majority_share(truth)
