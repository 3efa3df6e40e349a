"""Does 80 % sure mean right in 80 % of the rows? Top-label calibration, log loss, Brier score, temperature.

Legend: N rows, C classes, B bins of confidence.
"""

import math
from typing import TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import DataError
from .intervals import Interval, percentiles, wilson
from .metrics import as_labels, same_rows

BINS = 15
_RESAMPLES = 1_000
_FEWEST_RESAMPLES = 200  # whatever the rows
_WORK = 100_000_000  # rows drawn in all: a second or two
_WIDEST = math.log(100)  # a temperature beyond it says nothing but "surely" or "no idea"
_ROUNDING = 1e-5  # a float32 softmax is this far from summing to 1


class Bin(TypedDict):
    """The rows with a confidence in (low, high]: their mean confidence and accuracy, as shares."""

    low: float
    high: float
    confidence: float
    accuracy: float
    rows: int


def expected_calibration_error(probabilities: ArrayLike, truth: ArrayLike, bins: int = BINS) -> float:
    """The mean distance between confidence and accuracy over equal-width bins, weighted by rows; a share.

    Shapes: probabilities (N, C), truth (N,). Source: Guo et al. 2017, arXiv 1706.04599.
    """
    confidence_N, right_N = confidences(probabilities, truth)
    return _error(_bin_of(confidence_N, bins), right_N - confidence_N)


def calibration_interval(
    probabilities: ArrayLike, truth: ArrayLike, bins: int = BINS, seed: int = 0, resamples: int = _RESAMPLES
) -> Interval:
    """The calibration error with the percentile bootstrap over rows, on fewer resamples above 100,000 rows.

    Resampling adds noise to every bin and the error counts noise as error, so the interval leans upward. Where every
    row is right, or wrong, the upper bound also allows for the accuracy that Wilson's interval leaves possible.
    """
    confidence_N, right_N = confidences(probabilities, truth)
    bin_N, gap_N = _bin_of(confidence_N, bins), right_N - confidence_N
    rows = len(gap_N)
    generator = np.random.default_rng(seed)
    scores = np.empty(min(resamples, max(_FEWEST_RESAMPLES, _WORK // rows)))
    for index in range(len(scores)):
        drawn = generator.integers(rows, size=rows)
        scores[index] = _error(bin_N[drawn], gap_N[drawn])
    interval = percentiles(_error(bin_N, gap_N), scores)
    right = int(right_N.sum())
    if 0 < right < rows:
        return interval
    possible = wilson(right, rows)
    mean = float(confidence_N.mean())
    interval["high"] = max(interval["high"], abs(mean - possible["low"]), abs(mean - possible["high"]))
    return interval


def log_loss(probabilities: ArrayLike, truth: ArrayLike) -> float:
    """The mean of -log of the probability of the true class, in nats; probabilities under 1e-12 count as that.

    Shapes: probabilities (N, C), truth (N,).
    """
    probabilities_NC, truth_N = checked_probabilities(probabilities, truth)
    return float(-np.log(np.maximum(probabilities_NC[np.arange(len(truth_N)), truth_N], 1e-12)).mean())


def brier_score(probabilities: ArrayLike, truth: ArrayLike) -> float:
    """The mean squared distance from the truth, summed over the classes: 0 is perfect, 2 the worst. Source: Brier 1950.

    Shapes: probabilities (N, C), truth (N,).
    """
    probabilities_NC, truth_N = checked_probabilities(probabilities, truth)
    return float(((probabilities_NC - np.eye(probabilities_NC.shape[1])[truth_N]) ** 2).sum(axis=1).mean())


def temperature(logits: ArrayLike, truth: ArrayLike) -> float:
    """The number that logits (N, C) must be divided by for the least log loss on truth (N,); above 1 for the too sure.

    Where every row is right the least loss would be at 0, the surest of all. So the truth is as sure as N rows can make
    it, one row in N + 2 going to all classes alike. Between 1/100 and 100, and 1 where logits tell no class apart.
    Source: Guo et al. 2017, arXiv 1706.04599; for the truth Platt 1999.
    """
    logits_NC = np.asarray(logits, np.float64)
    if logits_NC.ndim != 2 or logits_NC.size == 0 or not np.isfinite(logits_NC).all():
        raise DataError(f"logits must be finite rows x classes, got shape {logits_NC.shape}")
    truth_N = as_labels(truth, logits_NC.shape[1], "truth")
    same_rows(logits=logits_NC, truth=truth_N)
    rows = len(logits_NC)
    centered_NC = logits_NC - logits_NC.mean(axis=1, keepdims=True)
    if not centered_NC.any():
        return 1.0
    doubt = 1 / (rows + 2)
    wanted = (1 - doubt) * centered_NC[np.arange(rows), truth_N].sum()  # centered: the classes alike add nothing

    def slope(sharpness: float) -> float:
        """Of the loss, which is convex in 1 / temperature."""
        scaled_NC = sharpness * centered_NC
        raised_NC = np.exp(scaled_NC - scaled_NC.max(axis=1, keepdims=True))
        return float((raised_NC * centered_NC).sum(axis=1) @ (1 / raised_NC.sum(axis=1))) - wanted

    low, high = -_WIDEST, _WIDEST  # of the sharpness' logarithm
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (low, middle) if slope(math.exp(middle)) > 0 else (middle, high)
    return math.exp(-(low + high) / 2)


def confidences(probabilities: ArrayLike, truth: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The score of each row's answer, and whether it is right: (N,), (N,). Shapes: probabilities (N, C), truth (N,)."""
    probabilities_NC, truth_N = checked_probabilities(probabilities, truth)
    return probabilities_NC.max(axis=1), probabilities_NC.argmax(axis=1) == truth_N


def reliability(probabilities: ArrayLike, truth: ArrayLike, bins: int = BINS) -> list[Bin]:
    """The bins that hold rows, from low to high confidence: the points of a reliability diagram."""
    confidence_N, right_N = confidences(probabilities, truth)
    bin_N, edges = _bin_of(confidence_N, bins), _edges(bins)
    return [
        {
            "low": float(edges[index]),
            "high": float(edges[index + 1]),
            "confidence": float(confidence_N[bin_N == index].mean()),
            "accuracy": float(right_N[bin_N == index].mean()),
            "rows": int((bin_N == index).sum()),
        }
        for index in np.unique(bin_N)
    ]


def checked_probabilities(probabilities: ArrayLike, truth: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Both as arrays, (N, C) and (N,). Raises DataError where they are not probabilities and class indices."""
    probabilities_NC = np.asarray(probabilities, np.float64)
    if probabilities_NC.ndim != 2 or probabilities_NC.size == 0:
        raise DataError(f"probabilities must be rows x classes, got shape {probabilities_NC.shape}")
    if not (probabilities_NC.min() >= 0 and np.abs(probabilities_NC.sum(axis=1) - 1).max() <= _ROUNDING):
        raise DataError("probabilities must be at least 0 and sum to 1 in every row, got another row")
    truth_N = as_labels(truth, probabilities_NC.shape[1], "truth")
    same_rows(probabilities=probabilities_NC, truth=truth_N)
    return probabilities_NC, truth_N


def _edges(bins: int) -> NDArray[np.float64]:
    if bins < 1:
        raise DataError(f"bins must be at least 1, got {bins}")
    return np.linspace(0.0, 1.0, bins + 1)


def _bin_of(confidence_N: NDArray[np.float64], bins: int) -> NDArray[np.intp]:
    # the inner edges only: 0 and a rounded 1.0000001 fall into the first and the last bin
    return np.searchsorted(_edges(bins)[1:-1], confidence_N, side="left")


def _error(bin_N: NDArray[np.intp], gap_N: NDArray[np.float64]) -> float:
    return float(np.abs(np.bincount(bin_N, weights=gap_N)).sum() / len(gap_N))
