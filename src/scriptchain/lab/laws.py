"""Which law a cost follows: linear, quadratic, power or exponential growth above a constant, with the evidence.

Errors are relative, since costs span orders of magnitude; laws are compared by the Bayesian information criterion,
with the small-sample term of AICc.
A plain fit of logarithms would be bent by the constant (a linear cost with an intercept looks like a power of 0.9).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize_scalar
from scipy.stats import chi2

from ..errors import UsageError

Array = NDArray[np.float64]
Points = Sequence[float | int]
EXACT = 1e-6  # relative error below which counts are the law, whatever rounding leaves
GROWTH = 10.0  # least factor over the whole grid of what is called exponential: a slower one is a line to the eye


@dataclass(frozen=True)
class Fit:
    """A law with its best numbers; the lower `bic`, the better. `shape` is the exponent, or the growth of one step."""

    law: str
    bic: float
    shape: float | None
    coefficients: tuple[float, ...]


def fit_laws(x: Points, y: Points) -> dict[str, Fit]:
    """Every law fitted to y > 0 at x > 0, at least 5 points; by name.

    *Raises*: UsageError for fewer points or numbers that are not positive.
    """
    xs, ys = np.asarray(x, float), np.asarray(y, float)
    if len(xs) < 5 or len(xs) != len(ys) or not (xs > 0).all() or not (ys > 0).all() or not np.isfinite(ys).all():
        raise UsageError(f"a law needs at least 5 positive points, got {len(xs)}")
    fits = {
        "linear": _fit("linear", [np.ones_like(xs), xs], ys, None),
        "quadratic": _fit("quadratic", [np.ones_like(xs), xs, xs**2], ys, None),
    }
    for law in ("power", "exponential"):
        best = _best_shape(law, xs, ys)
        shown = best if law == "power" else float(np.exp(best))
        fits[law] = _fit(law, [np.ones_like(xs), _column(law, xs, best)], ys, shown)
    return fits


def exponent(x: Points, y: Points, level: float = 0.95) -> tuple[float, float, float]:
    """p of y = a + b x^p, with its profile-likelihood interval: value, low, high."""
    xs, ys = np.asarray(x, float), np.asarray(y, float)
    best = _best_shape("power", xs, ys)
    least = _deviance("power", xs, ys)(best)
    allowed = float(chi2.ppf(level, 1))
    low, high = _range("power", xs)

    def beyond(p: float) -> float:
        return _deviance("power", xs, ys)(p) - least - allowed

    left: Any = brentq(beyond, low, best) if beyond(low) > 0 else low
    right: Any = brentq(beyond, best, high) if beyond(high) > 0 else high
    return best, float(left), float(right)


def exponential_margin(fits: dict[str, Fit]) -> float:
    """By how many points of the criterion an exponential is better than every other law; negative where it is not."""
    return min(fit.bic for law, fit in fits.items() if law != "exponential") - fits["exponential"].bic


def _fit(law: str, columns: list[Array], y: Array, shape: float | None) -> Fit:
    coefficients, error = _solve(columns, y)
    count = len(columns) + (shape is not None)
    # The second term is AICc's: on few points a law with one number more fits better by chance.
    penalty = count * np.log(len(y)) + 2 * count * (count + 1) / (len(y) - count - 1)
    bic = len(y) * np.log(max(error, EXACT**2)) + penalty
    return Fit(law, float(bic), shape, tuple(coefficients.tolist()))


def _solve(columns: list[Array], y: Array) -> tuple[Array, float]:
    """Least squares of relative errors: coefficients and the mean square error."""
    design = np.stack(columns, 1) / y[:, None]
    scale = np.linalg.norm(design, axis=0)
    solved = np.linalg.lstsq(design / scale, np.ones_like(y), rcond=None)[0]
    return solved / scale, float(np.mean((design / scale @ solved - 1) ** 2))


def _column(law: str, x: Array, shape: float) -> Array:
    return x**shape if law == "power" else np.exp(shape * (x - x.max()))


def _deviance(law: str, x: Array, y: Array) -> Callable[[float], float]:
    def deviance(shape: float) -> float:
        error = _solve([np.ones_like(x), _column(law, x, shape)], y)[1]
        return float(len(y) * np.log(max(error, EXACT**2)))

    return deviance


def _range(law: str, x: Array) -> tuple[float, float]:
    """Of the exponent, or of the logarithm of the growth of one step."""
    return (0.05, 6.0) if law == "power" else (float(np.log(GROWTH) / np.ptp(x)), 3.0)


def _best_shape(law: str, x: Array, y: Array) -> float:
    """A grid first, since the curve may have several valleys, then its best cell."""
    low, high = _range(law, x)

    def error(shape: float) -> float:
        return _solve([np.ones_like(x), _column(law, x, shape)], y)[1]

    grid = np.geomspace(low, high, 200)
    at = int(np.argmin([error(shape) for shape in grid]))
    bounds = (grid[max(0, at - 1)], grid[min(len(grid) - 1, at + 1)])
    found: Any = minimize_scalar(error, bounds=bounds, method="bounded", options={"xatol": 1e-9})
    return float(found.x)
