"""95 % intervals: what the test rows, or the seeds, leave open about a figure.

A bootstrap over rows of any metric that counts rows needs no rows: resampling n rows with replacement draws the counts
of the distinct kinds of row from a multinomial distribution, so thousands of resamples are one call.

A bootstrap knows only what it saw. Where every row is right it has nothing to resample and would print [100, 100], and
ten right rows do not show that. So each interval that has a closed form for few rows is never narrower than it:

    accuracy                  Wilson's score interval (1927), always
    difference in accuracy    Agresti and Min's interval for matched pairs (2005), always
    macro-F1 and differences  the same bounds where all resamples agree: every row right, every row wrong, or two models
                              that never differ; there macro-F1 and accuracy are the same number
"""

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist, fmean, stdev
from typing import Any, Literal, TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import DataError
from .metrics import as_labels, mean_f1, same_rows

LEVEL = 0.95
RESAMPLES = 2_000
_Z = NormalDist().inv_cdf((1 + LEVEL) / 2)
_CHUNK = 4_000_000  # counts drawn at a time: 32 MB


class Interval(TypedDict):
    """A figure and the bounds of its 95 % interval; low <= value <= high."""

    value: float
    low: float
    high: float


class MeanInterval(Interval):
    """A mean with its interval and `sd`, the standard deviation (n - 1) of the single values."""

    sd: float


def bootstrap(
    cells: ArrayLike,
    metric: Callable[[NDArray[np.int64]], NDArray[Any]],
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Interval:
    """The percentile bootstrap over rows of a metric of row counts.

    `cells` (K,) counts the rows of each distinct kind; `metric` maps resampled counts (R, K) to scores (R,).
    """
    counts_K = np.asarray(cells, np.int64)
    rows = _at_least_one(int(counts_K.sum()))
    generator = np.random.default_rng(seed)
    chunk = max(1, _CHUNK // counts_K.size)
    scores = [
        metric(generator.multinomial(rows, counts_K / rows, size=min(chunk, resamples - start)))
        for start in range(0, resamples, chunk)
    ]
    return percentiles(float(metric(counts_K[None])[0]), np.concatenate(scores))


def percentiles(value: float, scores: NDArray[Any]) -> Interval:
    """The middle 95 % of resampled scores (R,), widened to hold the value itself where resampling is biased."""
    low, high = np.quantile(scores, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return {"value": value, "low": min(value, float(low)), "high": max(value, float(high))}


def accuracy_interval(truth: ArrayLike, predicted: ArrayLike, seed: int = 0, resamples: int = RESAMPLES) -> Interval:
    """Accuracy of labels (N,), (N,) as a share; its interval is the union of the bootstrap's and Wilson's."""
    right_N = _right(truth, predicted)
    rows, right = len(right_N), int(right_N.sum())
    resampled = bootstrap([rows - right, right], lambda counts_RK: counts_RK[:, 1] / rows, seed, resamples)
    return _union(resampled, wilson(right, rows))


def macro_f1_interval(
    truth: ArrayLike, predicted: ArrayLike, num_classes: int, seed: int = 0, resamples: int = RESAMPLES
) -> Interval:
    """Macro-F1 of labels (N,), (N,); where all resamples agree (every row right, or wrong) the bounds are Wilson's.

    Wilson speaks of the accuracy there: few rows of a rare class leave macro-F1 more open than that.
    """
    counts_K, (truth_K, predicted_K) = _kinds(num_classes, truth=truth, predicted=predicted)
    resampled = bootstrap(
        counts_K, lambda counts_RK: _macro_f1(counts_RK, truth_K, predicted_K, num_classes), seed, resamples
    )
    if resampled["low"] < resampled["high"]:
        return resampled
    return _union(resampled, wilson(int(counts_K[truth_K == predicted_K].sum()), int(counts_K.sum())))


def paired_difference(
    truth: ArrayLike,
    predicted_a: ArrayLike,
    predicted_b: ArrayLike,
    num_classes: int,
    metric: Literal["accuracy", "macro_f1"] = "accuracy",
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Interval:
    """The metric of model a minus that of model b, resampling the same rows for both; shares from -1 to 1.

    Two models that agree on all of n rows may still differ on the next: the interval keeps a width of about 4 / n.
    """
    counts_K, (truth_K, a_K, b_K) = _kinds(num_classes, truth=truth, predicted_a=predicted_a, predicted_b=predicted_b)
    score = {"accuracy": _accuracy, "macro_f1": _macro_f1}[metric]

    def difference(counts_RK: NDArray[np.int64]) -> NDArray[np.float64]:
        return score(counts_RK, truth_K, a_K, num_classes) - score(counts_RK, truth_K, b_K, num_classes)

    resampled = bootstrap(counts_K, difference, seed, resamples)
    if metric == "macro_f1" and resampled["low"] < resampled["high"]:
        return resampled
    only_a = int(counts_K[(truth_K == a_K) & (truth_K != b_K)].sum())
    only_b = int(counts_K[(truth_K != a_K) & (truth_K == b_K)].sum())
    return _union(resampled, _matched_pairs(only_a, only_b, int(counts_K.sum())))


def mcnemar(truth: ArrayLike, predicted_a: ArrayLike, predicted_b: ArrayLike) -> float:
    """The exact two-sided p value that two models err equally often, from the rows that only one of them gets right.

    Source: McNemar 1947, in its binomial form; 1 where no row tells the models apart.
    """
    a_N, b_N = _right(truth, predicted_a), _right(truth, predicted_b)
    only_a, only_b = int((a_N & ~b_N).sum()), int((~a_N & b_N).sum())
    tosses = only_a + only_b
    # lgamma, because the binomial coefficients of thousands of rows overflow a float
    whole = math.lgamma(tosses + 1) - tosses * math.log(2)
    tail = math.fsum(
        math.exp(whole - math.lgamma(heads + 1) - math.lgamma(tosses - heads + 1))
        for heads in range(min(only_a, only_b) + 1)
    )
    return min(1.0, 2 * tail)


def wilson(successes: int, rows: int) -> Interval:
    """Wilson's score interval of a share: honest at few rows and at 0 % or 100 %."""
    _at_least_one(rows)
    if not 0 <= successes <= rows:
        raise DataError(f"successes must be from 0 to {rows}, got {successes}")
    share = successes / rows
    center = (share + _Z**2 / (2 * rows)) / (1 + _Z**2 / rows)
    half = _Z * math.sqrt(share * (1 - share) / rows + (_Z / (2 * rows)) ** 2) / (1 + _Z**2 / rows)
    # rounding must not push the bounds of 0 % and 100 % past the share itself
    return {"value": share, "low": max(0.0, min(share, center - half)), "high": min(1.0, max(share, center + half))}


def mean_interval(values: Sequence[float]) -> MeanInterval:
    """The mean of one figure over repeated seeds, with Student's t interval.

    One value says nothing about its spread: its `low`, `high` and `sd` are NaN, null in JSON.
    """
    mean = fmean(values) if _at_least_one(len(values)) else math.nan
    if len(values) == 1:
        return {"value": mean, "low": math.nan, "high": math.nan, "sd": math.nan}
    sd = stdev(values)
    half = t_quantile(len(values) - 1) * sd / math.sqrt(len(values))
    return {"value": mean, "low": mean - half, "high": mean + half, "sd": sd}


def _at_least_one(rows: int) -> int:
    if rows < 1:
        raise DataError(f"rows must be at least 1, got {rows}")
    return rows


def _right(truth: ArrayLike, predicted: ArrayLike) -> NDArray[np.bool_]:
    truth_N, predicted_N = np.asarray(truth), np.asarray(predicted)
    if truth_N.ndim != 1 or truth_N.shape != predicted_N.shape:  # other shapes would broadcast into rows that are none
        raise DataError(f"truth and predictions must be equal rows, got shapes {truth_N.shape} and {predicted_N.shape}")
    _at_least_one(len(truth_N))
    return truth_N == predicted_N


def _kinds(num_classes: int, **columns: ArrayLike) -> tuple[NDArray[np.int64], tuple[NDArray[np.intp], ...]]:
    """The distinct rows of some columns of labels: how often each occurs (K,) and its labels, (K,) a column."""
    labels = {name: as_labels(column, num_classes, name) for name, column in columns.items()}
    _at_least_one(same_rows(**labels))
    shape = (num_classes,) * len(labels)
    kinds, counts = np.unique(np.ravel_multi_index(tuple(labels.values()), shape), return_counts=True)
    return counts, np.unravel_index(kinds, shape)


def _accuracy(
    counts_RK: NDArray[np.int64], truth_K: NDArray[Any], predicted_K: NDArray[Any], num_classes: int
) -> NDArray[np.float64]:
    return counts_RK[:, truth_K == predicted_K].sum(axis=1) / counts_RK.sum(axis=1)


def _macro_f1(
    counts_RK: NDArray[np.int64], truth_K: NDArray[Any], predicted_K: NDArray[Any], num_classes: int
) -> NDArray[np.float64]:
    weights_RK = counts_RK.astype(np.float64)  # a product of integers would not reach BLAS
    one_hot = np.eye(num_classes)
    hits_KC = one_hot[truth_K] * one_hot[predicted_K]
    return mean_f1(weights_RK @ hits_KC, weights_RK @ one_hot[truth_K], weights_RK @ one_hot[predicted_K])


def _matched_pairs(only_a: int, only_b: int, rows: int) -> Interval:
    """Agresti and Min 2005: Wald's interval after half a row was added to each of the four cells."""
    more = rows + 2
    center = (only_a - only_b) / more
    half = _Z * math.sqrt((only_a + only_b + 1) / more - center**2) / math.sqrt(more)
    return {"value": (only_a - only_b) / rows, "low": max(-1.0, center - half), "high": min(1.0, center + half)}


def _union(interval: Interval, other: Interval) -> Interval:
    return {
        "value": interval["value"],
        "low": min(interval["low"], other["low"]),
        "high": max(interval["high"], other["high"]),
    }


def t_quantile(freedom: int) -> float:
    """The point that Student's |t| stays under with 95 % probability, by bisection on its angle."""
    low, high = 0.0, math.pi / 2
    for _ in range(60):
        angle = (low + high) / 2
        low, high = (angle, high) if _t_within(angle, freedom) < LEVEL else (low, angle)
    return math.sqrt(freedom) * math.tan(low)


def _t_within(angle: float, freedom: int) -> float:
    """P(|t| < sqrt(freedom) tan(angle)), the finite series of Abramowitz and Stegun 26.7.3 and 26.7.4."""
    odd = freedom % 2
    sine, cosine = math.sin(angle), math.cos(angle)
    term, total = (cosine if odd else 1.0), 0.0
    for power in range(odd, freedom - 1, 2):
        total += term
        term *= cosine**2 * (power + 1) / (power + 2)
    return 2 / math.pi * (angle + sine * total) if odd else sine * total
