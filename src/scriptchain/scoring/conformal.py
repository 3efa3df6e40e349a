"""Sets of labels that hold the right one as often as is wanted, whatever the model: split conformal prediction.

Source: Vovk, Gammerman and Shafer 2005; the sets of all labels above one threshold are those of Sadinle, Lei and
Wasserman 2019. Legend: N rows, C classes.
"""

import math
from typing import TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import DataError
from .calibration import checked_probabilities
from .selective import log_factorials

COVERAGE, BAND = 0.9, 0.99


class LabelSets(TypedDict):
    """All labels with a score of at least `threshold`, which all rows choose, hold the right one in `coverage` of texts
    like these. `measured` is the share of one half of the rows where they do when the other half chooses the threshold,
    `band` where that lies in 99 of 100 cases, `mean_size` the labels in a set there, `empty` the share without one."""

    coverage: float
    threshold: float
    measured: float
    band: tuple[float, float]
    mean_size: float
    empty: float


def label_sets(
    probabilities: ArrayLike, truth: ArrayLike, coverage: float = COVERAGE, seed: int = 0
) -> LabelSets | None:
    """The threshold for a wanted coverage, and what it is worth on rows that did not choose it.

    Shapes: probabilities (N, C), truth (N,). None where half of the rows are too few for that coverage. The promise
    holds for rows that neither training nor early stopping has seen, on average over texts, not for each class.
    """
    if not 0 < coverage < 1:
        raise DataError(f"coverage must be between 0 and 1, got {coverage}")
    probabilities_NC, truth_N = checked_probabilities(probabilities, truth)
    order = np.random.default_rng(seed).permutation(len(truth_N))
    choosing, measuring = np.array_split(order, 2)
    if _rank(len(choosing), coverage) == 0:
        return None
    threshold = _threshold(probabilities_NC[choosing], truth_N[choosing], coverage)
    sets_NC = probabilities_NC[measuring] >= threshold
    return {
        "coverage": coverage,
        "threshold": _threshold(probabilities_NC, truth_N, coverage),
        "measured": float(sets_NC[np.arange(len(measuring)), truth_N[measuring]].mean()),
        "band": band(len(choosing), len(measuring), coverage),
        "mean_size": float(sets_NC.sum(axis=1).mean()),
        "empty": float((~sets_NC.any(axis=1)).mean()),
    }


def band(choosing: int, measuring: int, coverage: float, level: float = BAND) -> tuple[float, float]:
    """Where the measured coverage lies with that probability: a beta-binomial law, whatever the model and the texts."""
    below = _rank(choosing, coverage)  # rows of those that choose which lie under the threshold
    a, b = choosing + 1 - below, below
    hits, f = np.arange(measuring + 1), log_factorials(choosing + measuring + 1)
    logs = (
        f[measuring] - f[hits] - f[measuring - hits]
        + f[hits + a - 1] + f[measuring - hits + b - 1] - f[measuring + a + b - 1]
        + f[a + b - 1] - f[a - 1] - f[b - 1]
    )  # fmt: skip
    cumulated = np.exp(logs).cumsum()
    low = int(np.searchsorted(cumulated, (1 - level) / 2))
    high = int(np.searchsorted(cumulated, (1 + level) / 2))
    return low / measuring, min(high, measuring) / measuring


def _rank(rows: int, coverage: float) -> int:
    """How many of the rows may lie under the threshold; a hair's breadth is rounding."""
    return math.floor((rows + 1) * (1 - coverage) + 1e-9)


def _threshold(probabilities_NC: NDArray[np.float64], truth_N: NDArray[np.int64], coverage: float) -> float:
    right_N = np.sort(probabilities_NC[np.arange(len(truth_N)), truth_N])
    return float(right_N[_rank(len(right_N), coverage) - 1])
