"""Laws of the intervals: scipy's closed forms, coverage by simulation, and a seed fixes everything."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from scriptchain.errors import DataError
from scriptchain.scoring.intervals import (
    accuracy_interval,
    bootstrap,
    macro_f1_interval,
    mcnemar,
    mean_interval,
    paired_difference,
    percentiles,
    wilson,
)
from scriptchain.scoring.metrics import confusion, macro_f1

LABEL = st.integers(0, 2)
TRIPLES = st.lists(st.tuples(LABEL, LABEL, LABEL), min_size=1, max_size=30)


def columns(triples):
    return np.array(triples).T


def draw(seed: int, rows: int = 200, share: float = 0.8):
    """Three classes and a model that is right in about `share` of the rows."""
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, 3, rows)
    return truth, np.where(generator.random(rows) < share, truth, (truth + 1) % 3)


def width(interval) -> float:
    return interval["high"] - interval["low"]


@given(TRIPLES)
@settings(deadline=None, max_examples=40)
def test_the_value_is_inside_and_comes_from_the_rows(triples):
    truth, a, b = columns(triples)
    f1_a, f1_b = (float(macro_f1(confusion(truth, predicted, 3))) for predicted in (a, b))
    expected = [
        (accuracy_interval(truth, a), np.mean(truth == a), 0),
        (macro_f1_interval(truth, a, 3), f1_a, 0),
        (paired_difference(truth, a, b, 3), np.mean(truth == a) - np.mean(truth == b), -1),
        (paired_difference(truth, a, b, 3, "macro_f1"), f1_a - f1_b, -1),
    ]
    for interval, value, least in expected:
        assert interval["value"] == pytest.approx(value, abs=1e-12)
        assert least <= interval["low"] <= interval["value"] <= interval["high"] <= 1
        assert width(interval) > 0  # no finite number of rows settles a figure
        assert {type(bound) for bound in interval.values()} == {float}


def test_a_seed_fixes_the_bootstrap_and_another_moves_it():
    truth, predicted = draw(0)
    assert macro_f1_interval(truth, predicted, 3) == macro_f1_interval(truth, predicted, 3)
    assert macro_f1_interval(truth, predicted, 3) != macro_f1_interval(truth, predicted, 3, seed=1)


def test_counting_kinds_is_resampling_rows():
    truth, predicted = draw(1)
    generator = np.random.default_rng(5)
    scores = []
    for _ in range(4_000):
        rows = generator.integers(len(truth), size=len(truth))
        scores.append(float(macro_f1(confusion(truth[rows], predicted[rows], 3))))
    interval = macro_f1_interval(truth, predicted, 3, resamples=4_000)
    assert [interval["low"], interval["high"]] == pytest.approx(np.quantile(scores, [0.025, 0.975]), abs=0.005)


def test_chunks_of_resamples_change_nothing(monkeypatch):
    truth, predicted = draw(2)
    whole = macro_f1_interval(truth, predicted, 3)
    monkeypatch.setattr("scriptchain.scoring.intervals._CHUNK", 100)
    assert macro_f1_interval(truth, predicted, 3) == whole


def test_the_interval_of_a_biased_bootstrap_is_widened_to_the_value():
    scores = np.linspace(0.4, 0.6, 1_001)
    assert percentiles(0.5, scores) == {"value": 0.5, "low": pytest.approx(0.405), "high": pytest.approx(0.595)}
    assert percentiles(0.3, scores)["low"] == 0.3
    assert percentiles(0.7, scores)["high"] == 0.7


def test_bootstrap_takes_any_metric_of_counts():
    interval = bootstrap([30, 50, 20], lambda counts: counts[:, 2] - counts[:, 0])
    spread = 1.96 * np.sqrt(100 * (0.3 + 0.2 - 0.1**2))
    assert interval["value"] == -10
    assert [interval["low"], interval["high"]] == pytest.approx([-10 - spread, -10 + spread], abs=1.5)


@pytest.mark.parametrize("rows", [10, 20, 100])
@pytest.mark.parametrize("share", [0.5, 0.8, 0.95])
def test_the_accuracy_interval_covers_the_true_accuracy(rows, share):
    @cache
    def interval(right: int):
        return accuracy_interval(np.zeros(rows, int), np.arange(rows) >= right)

    drawn = [interval(int(right)) for right in np.random.default_rng(0).binomial(rows, share, 1_000)]
    assert np.mean([found["low"] <= share <= found["high"] for found in drawn]) >= 0.93


@pytest.mark.parametrize("rows", [10, 20, 100])
@pytest.mark.parametrize("only", [(0.1, 0.1), (0.3, 0.1), (0.05, 0.0), (0.02, 0.02), (0.9, 0.0)])
def test_the_paired_interval_covers_the_true_difference(rows, only):
    @cache
    def interval(only_a: int, only_b: int):
        a, b = np.zeros(rows, int), np.zeros(rows, int)
        b[:only_a], a[only_a : only_a + only_b] = 1, 1
        return paired_difference(np.zeros(rows, int), a, b, 2)

    drawn = np.random.default_rng(0).multinomial(rows, [*only, 1 - sum(only)], size=1_000)
    found = [interval(int(only_a), int(only_b)) for only_a, only_b, _ in drawn]
    difference = only[0] - only[1]
    assert np.mean([each["low"] <= difference <= each["high"] for each in found]) >= 0.93


@given(st.integers(1, 500).flatmap(lambda rows: st.tuples(st.integers(0, rows), st.just(rows))))
def test_wilson_is_that_of_scipy(counts):
    successes, rows = counts
    oracle = stats.binomtest(successes, rows).proportion_ci(method="wilson")
    interval = wilson(successes, rows)
    assert interval["value"] == successes / rows
    assert [interval["low"], interval["high"]] == pytest.approx([oracle.low, oracle.high], abs=1e-9)


@pytest.mark.parametrize("rows", [1, 10, 100])
def test_a_perfect_or_hopeless_score_keeps_the_doubt_that_few_rows_leave(rows):
    truth = np.arange(rows) % 3
    for predicted, right in ((truth, rows), ((truth + 1) % 3, 0)):
        for interval in (accuracy_interval(truth, predicted), macro_f1_interval(truth, predicted, 3)):
            assert interval == wilson(right, rows)


def test_the_accuracy_interval_holds_wilson_and_the_bootstrap():
    truth, predicted = draw(3, rows=12)
    right = int((truth == predicted).sum())
    resampled = bootstrap([12 - right, right], lambda counts: counts[:, 1] / 12)
    interval, closed = accuracy_interval(truth, predicted), wilson(right, 12)
    assert interval["low"] == min(resampled["low"], closed["low"])
    assert interval["high"] == max(resampled["high"], closed["high"])


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1"])
def test_pairing_narrows_the_difference_of_models_that_agree(metric):
    truth, a = draw(4)
    b = a.copy()
    b[:6] = truth[:6]
    paired = paired_difference(truth, a, b, 3, metric)
    single = accuracy_interval if metric == "accuracy" else lambda *labels: macro_f1_interval(*labels, 3)
    assert width(paired) < 0.5 * np.hypot(width(single(truth, a)), width(single(truth, b)))


def test_a_difference_turns_with_its_models():
    truth, a = draw(5)
    _, b = draw(6)
    forward, backward = paired_difference(truth, a, b, 3), paired_difference(truth, b, a, 3)
    assert forward["value"] == -backward["value"]
    assert [forward["low"], forward["high"]] == pytest.approx([-backward["high"], -backward["low"]], abs=0.01)


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1"])
def test_models_that_never_differ_may_differ_by_little(metric):
    truth, a = draw(7, rows=100)
    interval = paired_difference(truth, a, a, 3, metric)
    assert interval["value"] == 0
    assert 0.01 < interval["high"] == -interval["low"] < 0.03


@given(TRIPLES)
@settings(deadline=None)
def test_mcnemar_is_the_binomial_test_of_the_rows_that_differ(triples):
    truth, a, b = columns(triples)
    only_a, only_b = int(((truth == a) & (truth != b)).sum()), int(((truth != a) & (truth == b)).sum())
    oracle = stats.binomtest(only_a, only_a + only_b).pvalue if only_a + only_b else 1.0
    assert mcnemar(truth, a, b) == pytest.approx(oracle, rel=1e-9)


def test_mcnemar_bears_many_rows():
    truth = np.zeros(20_000, int)
    a, b = truth.copy(), truth.copy()
    a[:7_000], b[7_000:14_300] = 1, 1
    assert mcnemar(truth, a, b) == pytest.approx(stats.binomtest(7_000, 14_300).pvalue, rel=1e-6)


@given(st.lists(st.floats(-10, 10), min_size=2, max_size=60))
def test_the_mean_interval_is_that_of_scipy(values):
    interval = mean_interval(values)
    half = stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    assert interval["value"] == pytest.approx(np.mean(values), abs=1e-9)
    assert interval["sd"] == pytest.approx(np.std(values, ddof=1), abs=1e-9)
    assert interval["low"] == pytest.approx(np.mean(values) - half, abs=1e-6)
    assert interval["high"] == pytest.approx(np.mean(values) + half, abs=1e-6)


def test_one_seed_has_no_interval():
    interval = mean_interval([0.5])
    assert interval["value"] == 0.5
    assert np.isnan([interval["low"], interval["high"], interval["sd"]]).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: accuracy_interval([], []), "rows must be at least 1, got 0"),
        (lambda: macro_f1_interval([], [], 2), "rows must be at least 1, got 0"),
        (lambda: paired_difference([], [], [], 2), "rows must be at least 1, got 0"),
        (lambda: mean_interval([]), "rows must be at least 1, got 0"),
        (lambda: bootstrap([0, 0], np.sum), "rows must be at least 1, got 0"),
        (lambda: wilson(0, 0), "rows must be at least 1, got 0"),
        (lambda: wilson(3, 2), "successes must be from 0 to 2, got 3"),
        (
            lambda: accuracy_interval([1, 0], [[1], [0]]),
            "truth and predictions must be equal rows, got shapes (2,) and (2, 1)",
        ),
        (
            lambda: paired_difference([0], [0], [0, 1], 2),
            "predicted_b must have as many rows as truth (1), got 2",
        ),
    ],
)
def test_rows_that_allow_no_interval_are_refused(call, message):
    with pytest.raises(DataError) as error:
        call()
    assert str(error.value) == message
