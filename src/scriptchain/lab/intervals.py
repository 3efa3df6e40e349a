"""A measured number with its interval, from resampled texts or from repeated batches.

Intervals are three standard errors wide on each side: about twenty verdicts stand side by side, and all of them
together shall hold at 95 %.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
ERRORS = 3.0
DRAWS = 500


class Measured(NamedTuple):
    """`low` to `high` holds the value; all three are NaN where nothing could be measured."""

    value: float
    low: float
    high: float

    def scaled(self, factor: float, offset: float = 0.0) -> "Measured":
        ends = sorted((factor * self.low + offset, factor * self.high + offset))
        return Measured(factor * self.value + offset, *ends)


UNKNOWN = Measured(float("nan"), float("nan"), float("nan"))


def over_texts(statistic: Callable[[Array], Array], texts: int, seed: int = 0) -> Measured:
    """A statistic of texts that may count more than once: it maps weights `(draws, texts)` to values `(draws,)`."""
    rng = np.random.default_rng([seed, texts])
    draws = rng.multinomial(texts, np.full(texts, 1 / texts), size=DRAWS).astype(np.float64)
    value = float(statistic(np.ones((1, texts)))[0])
    with np.errstate(invalid="ignore", divide="ignore"):
        values = statistic(draws)
    kept = values[np.isfinite(values)]
    if not np.isfinite(value) or len(kept) < DRAWS // 2:
        return UNKNOWN
    half = ERRORS * float(kept.std(ddof=1))
    return Measured(value, value - half, value + half)


def of_mean(values: Array, seed: int = 0) -> Measured:
    """The mean of one number a text; NaN texts do not count."""
    known = np.asarray(values, np.float64)
    known = known[np.isfinite(known)]
    if len(known) < 2:
        return UNKNOWN
    half = ERRORS * float(known.std(ddof=1)) / np.sqrt(len(known))
    return Measured(float(known.mean()), float(known.mean()) - half, float(known.mean()) + half)


def of_ratio(above: Array, below: Array, seed: int = 0) -> Measured:
    """The sum of one number a text divided by the sum of another."""
    return over_texts(lambda weights: (weights @ above) / (weights @ below), len(above), seed)


def geometric(values: Array) -> Measured:
    """The geometric mean of positive numbers, one a batch, with Student's interval on the logarithms."""
    from scipy.stats import t

    logs = np.log(np.asarray(values, np.float64))
    if len(logs) < 2 or not np.isfinite(logs).all():
        return UNKNOWN
    half = float(t.ppf(0.99865, len(logs) - 1) * logs.std(ddof=1) / np.sqrt(len(logs)))
    return Measured(*(float(np.exp(logs.mean() + way)) for way in (0.0, -half, half)))
