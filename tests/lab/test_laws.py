"""Planted laws are found, with their exponents; a cost with a constant in front is not taken for another law."""

import numpy as np
import pytest

from scriptchain.lab import exponent, fit_laws
from scriptchain.lab.claims import best_law, verdict

DEPTHS = [1, 2, 3, 4, 6, 8, 12, 16]
PLANTED = {
    "linear": lambda x: 500 + 120 * x,
    "quadratic": lambda x: 500 + 120 * x + 9 * x**2,
    "power": lambda x: 40 + 7 * x**2.6,
    "exponential": lambda x: 30 + 2.0**x,
}


def noisy(law: str, noise: float, seed: int = 0) -> list[float]:
    x = np.array(DEPTHS, float)
    return list(PLANTED[law](x) * (1 + noise * np.random.default_rng(seed).standard_normal(len(x))))


def judged(law: str, y: list[float]) -> str:
    return verdict(law, fit_laws(DEPTHS, y), exponent(DEPTHS, y)[2])


@pytest.mark.parametrize("noise", [0.0, 0.002])
@pytest.mark.parametrize("law", PLANTED)
def test_a_planted_law_is_found(law, noise):
    y = noisy(law, noise)
    assert best_law(fit_laws(DEPTHS, y)).law == law
    for claimed in ("linear", "quadratic", "exponential"):
        assert (judged(claimed, y) == "TRUE") == (claimed == law)


@pytest.mark.parametrize("law", PLANTED)
@pytest.mark.parametrize(("claimed", "noise"), [("exponential", 0.3), ("quadratic", 0.03), ("linear", 0.03)])
def test_noise_never_makes_another_law_true(law, claimed, noise):
    for seed in range(10):
        y = [abs(value) for value in noisy(law, noise, seed)]
        assert claimed == law or judged(claimed, y) != "TRUE"


@pytest.mark.parametrize("noise", [0.01, 0.1, 0.3])
@pytest.mark.parametrize("law", ["linear", "quadratic", "exponential"])
def test_noise_never_makes_the_true_law_false(law, noise):
    for seed in range(10):
        assert judged(law, [abs(value) for value in noisy(law, noise, seed)]) != "FALSE"


def test_the_exponent_has_its_interval():
    value, low, high = exponent(DEPTHS, noisy("power", 0.01))
    assert low < 2.6 < high
    assert low < value < high
    assert high - low < 0.3
    exact = exponent(DEPTHS, noisy("linear", 0.0))
    assert exact == pytest.approx((1, 1, 1), abs=1e-3)


def test_a_constant_does_not_bend_the_exponent():
    """A straight line through logarithms says 0.4 to 0.9 here."""
    y = [1_000 + 100 * x for x in DEPTHS]
    naive = np.polyfit(np.log(DEPTHS), np.log(y), 1)[0]
    assert naive < 0.6
    assert exponent(DEPTHS, y)[0] == pytest.approx(1, abs=1e-3)


def test_units_do_not_matter():
    one, other = (fit_laws(DEPTHS, [scale * y for y in noisy("linear", 0.01)]) for scale in (1e-9, 1e9))
    for law, fit in one.items():
        assert fit.bic == pytest.approx(other[law].bic, abs=1e-3)


@pytest.mark.parametrize("y", [[1.0] * 4, [1.0, 2.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0], [float("nan")] * 8])
def test_too_few_or_impossible_points_are_refused(y):
    with pytest.raises(ValueError, match="at least 5 positive points"):
        fit_laws(DEPTHS[: len(y)], y)
