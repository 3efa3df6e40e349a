"""Laws of the verdicts: they are wrong as rarely as they claim, and more units are promised only where they help."""

import numpy as np
import pytest
from scipy import stats

from scriptchain.bench.verdicts import FEWEST, Difference, difference, judge, power_table, units_needed

ROW = 1e-6
MARGIN = 0.01


def gaps(rng, units, mean=0.0, sd=0.02):
    base = rng.normal(0.7, 0.05, units)
    return base + rng.normal(mean, sd, units), base


def verdict(ours, theirs, margin=MARGIN, overlap=0.0):
    return judge({"one": difference(ours, theirs, overlap, ROW)}, margin, overlap)["one"]["verdict"]


def in_binomial_band(count, number, share):
    low, high = stats.binom.interval(0.999, number, share)
    return low <= count <= high


def test_nothing_is_called_better_or_worse_more_often_than_in_one_of_twenty():
    rng = np.random.default_rng(0)
    found = [verdict(*gaps(rng, 8), margin=1e-9) for _ in range(2000)]
    assert in_binomial_band(sum(one in ("better", "worse") for one in found), 2000, 0.05)
    assert in_binomial_band(found.count("better"), 2000, 0.025)


def test_over_many_candidates_the_rate_holds_for_all_together():
    rng = np.random.default_rng(1)
    wrong = 0
    for _ in range(600):
        found = {str(number): difference(*gaps(rng, 8), 0.0, ROW) for number in range(6)}
        wrong += any(one["verdict"] in ("better", "worse") for one in judge(found, 1e-9, 0.0).values())
    assert wrong <= stats.binom.ppf(0.999, 600, 0.05)
    assert wrong > 0


def test_what_differs_by_the_margin_is_called_equivalent_no_more_often_than_in_one_of_twenty():
    rng = np.random.default_rng(2)
    found = [verdict(*gaps(rng, 40, mean=MARGIN)) for _ in range(1500)]
    assert in_binomial_band(found.count("equivalent"), 1500, 0.05)


def test_what_is_the_same_is_found_equivalent_and_what_is_better_better():
    rng = np.random.default_rng(3)
    assert verdict(*gaps(rng, 100, sd=0.005)) == "equivalent"
    assert verdict(*gaps(rng, 30, mean=0.05)) == "better"
    assert verdict(*gaps(rng, 30, mean=-0.05)) == "worse"
    assert verdict(*gaps(rng, 4)) == "UNDECIDED"


def test_two_units_decide_nothing():
    assert FEWEST == 3
    assert verdict([0.9, 0.8], [0.5, 0.4]) == "UNDECIDED"
    assert verdict([], []) == "UNDECIDED"
    two = difference([0.9, 0.8], [0.5, 0.1], 0.25, ROW)
    assert np.isnan(two.correlation)
    assert judge({"one": two}, MARGIN, 0.25)["one"]["more_units"] == 1
    assert verdict([0.9, 0.8, 0.85], [0.5, 0.4, 0.45]) == "better"


def test_equal_scores_are_not_believed_to_the_last_row():
    same = [0.75, 0.8, 0.7]
    assert difference(same, same, 0.25, row=0.1).sd == 0.05
    assert verdict(same, same) == "equivalent"
    assert judge({"one": difference(same, same, 0.25, 0.1)}, MARGIN, 0.25)["one"]["verdict"] == "UNDECIDED"


def test_the_interval_is_nadeau_and_bengios():
    ours, theirs = [0.7, 0.72, 0.69, 0.74, 0.7], [0.69, 0.7, 0.7, 0.7, 0.69]
    one = difference(ours, theirs, 0.25, ROW)
    d = np.subtract(ours, theirs)
    half = stats.t.ppf(0.975, 4) * d.std(ddof=1) * np.sqrt(1 / 5 + 0.25)
    assert (one.low, one.value, one.high) == pytest.approx((d.mean() - half, d.mean(), d.mean() + half))
    assert one.correlation == pytest.approx(np.corrcoef(ours, theirs)[0, 1])


def test_the_units_that_are_promised_decide_where_nothing_else_changes():
    def at(units, value, sd, overlap):
        error = sd * np.sqrt(1 / units + overlap)
        one = Difference(value, 0.0, 0.0, sd, float(error), 0.5, units)
        return judge({"one": one}, MARGIN, overlap)["one"]["verdict"]

    for value, sd, overlap in [(0.03, 0.02, 0.0), (0.0, 0.02, 0.0), (0.002, 0.004, 0.25), (0.08, 0.06, 0.25)]:
        one = Difference(value, 0.0, 0.0, sd, sd, 0.5, 3)
        needed = units_needed(one, MARGIN, overlap)
        assert needed is not None
        assert at(needed, value, sd, overlap) != "UNDECIDED"
        assert needed == 4 or at(needed - 1, value, sd, overlap) == "UNDECIDED"
    # Folds of one set share their rows: from some point on, more of them add nothing.
    assert units_needed(Difference(0.005, 0.0, 0.0, 0.03, 0.03, 0.5, 3), MARGIN, 0.25) is None


def test_four_of_five_comparisons_see_what_the_power_table_says():
    rng = np.random.default_rng(5)
    ((units, seen),) = power_table(0.02, 0.0, [12])
    found = [verdict(*gaps(rng, units, mean=seen), margin=1e-9) for _ in range(1500)]
    assert abs(found.count("better") / 1500 - 0.8) < 0.03
