"""How sure must an answer be to be right often enough, and how many texts are answered then?

Source: Geifman and El-Yaniv 2017, arXiv 1705.08500, with exact binomial tails. Legend: N rows, C classes.
"""

import math
from typing import TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import DataError
from .calibration import confidences
from .intervals import Interval, wilson

PRECISIONS = (0.8, 0.9, 0.95, 0.99)
_STEPS = 20  # shares of the rows that are looked at: the surest 5 %, 10 %, ... all
_CHANCE = 0.05  # that one of the thresholds below promises too much


class Selective(TypedDict):
    """Answers with a score of at least `threshold` are right in at least `precision` of texts like these, which holds
    with 95 % confidence; `answered` is the share of rows with such a score, `right` how many of them were right.
    Where the rows do not show it for any threshold all three are None."""

    precision: float
    threshold: float | None
    answered: float | None
    right: Interval | None


def selective(
    probabilities: ArrayLike, truth: ArrayLike, precisions: tuple[float, ...] = PRECISIONS
) -> list[Selective]:
    """For each precision the threshold that answers most texts.

    Shapes: probabilities (N, C), truth (N,). Of the surest 5, 10, ... 100 % of the rows those count whose right answers
    a lower precision would give with a probability under 0.05 / 20, so that looking 20 times costs nothing.
    """
    if not all(0 < precision < 1 for precision in precisions):
        raise DataError(f"precisions must be between 0 and 1, got {precisions}")
    confidence_N, right_N = confidences(probabilities, truth)
    order = np.argsort(-confidence_N, kind="stable")
    confidence_N, right_N = confidence_N[order], right_N[order].cumsum()
    rows = len(confidence_N)
    ends = {_with_ties(confidence_N, math.ceil(rows * step / _STEPS)) for step in range(1, _STEPS + 1)}
    found: list[Selective] = []
    for precision in precisions:
        shown = [end for end in ends if tail(int(right_N[end - 1]), end, precision) <= _CHANCE / _STEPS]
        if not shown:
            found.append({"precision": precision, "threshold": None, "answered": None, "right": None})
            continue
        end = max(shown)
        found.append({
            "precision": precision,
            "threshold": float(confidence_N[end - 1]),
            "answered": end / rows,
            "right": wilson(int(right_N[end - 1]), end),
        })  # fmt: skip
    return found


def tail(right: int, rows: int, precision: float) -> float:
    """The probability of at least so many right answers of so many rows, where each is right with that precision."""
    terms = np.arange(right, rows + 1)
    factorials = log_factorials(rows)
    logs = (
        factorials[rows] - factorials[terms] - factorials[rows - terms]
        + terms * math.log(precision) + (rows - terms) * math.log1p(-precision)
    )  # fmt: skip
    return min(1.0, float(np.exp(logs).sum()))


def log_factorials(most: int) -> NDArray[np.float64]:
    """The logarithms of 0! to most!, (most + 1,)."""
    return np.concatenate([[0.0], np.log(np.arange(1, most + 1)).cumsum()])


def _with_ties(confidence_N: NDArray[np.float64], end: int) -> int:
    """Rows as sure as the last one belong to it."""
    return int(np.searchsorted(-confidence_N, -confidence_N[end - 1], side="right"))
