"""Laws of calibration: slow loops as oracles, and a model that knows its chances has no error."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scriptchain.errors import DataError
from scriptchain.scoring.calibration import (
    brier_score,
    calibration_interval,
    expected_calibration_error,
    log_loss,
    reliability,
    temperature,
)

SEEDS = st.integers(0, 2**32 - 1)


def draw(seed: int, rows: int = 60, classes: int = 4, trust: float = 1.0):
    """Random probabilities and a truth drawn from them; `trust` above 1 makes the model too sure."""
    generator = np.random.default_rng(seed)
    chances = generator.dirichlet(np.full(classes, 0.5), rows)
    truth = (generator.random((rows, 1)) > chances.cumsum(axis=1)).sum(axis=1).clip(max=classes - 1)
    stated = (chances + 1e-9) ** trust
    return stated / stated.sum(axis=1, keepdims=True), truth


def slow_error(probabilities, truth, bins: int) -> float:
    total = 0.0
    for index in range(bins):
        low, high = index / bins, (index + 1) / bins
        inside = [row for row in range(len(truth)) if low < max(probabilities[row]) <= high]
        confidence = sum(max(probabilities[row]) for row in inside)
        right = sum(int(np.argmax(probabilities[row])) == truth[row] for row in inside)
        total += abs(right - confidence)
    return total / len(truth)


@given(SEEDS, st.integers(1, 20))
@settings(deadline=None, max_examples=40)
def test_the_error_is_that_of_the_slow_loop(seed, bins):
    probabilities, truth = draw(seed)
    error = expected_calibration_error(probabilities, truth, bins)
    assert error == pytest.approx(slow_error(probabilities, truth, bins))
    points = reliability(probabilities, truth, bins)
    assert sum(point["rows"] for point in points) == len(truth)
    weighted = sum(point["rows"] * abs(point["accuracy"] - point["confidence"]) for point in points)
    assert error == pytest.approx(weighted / len(truth))
    for point in points:
        assert point["low"] < point["confidence"] <= point["high"] + 1e-12
        assert point["high"] - point["low"] == pytest.approx(1 / bins)


def test_a_model_that_knows_its_chances_has_no_error_and_a_sure_one_has():
    assert expected_calibration_error(*draw(0, rows=50_000)) < 0.01
    assert expected_calibration_error(*draw(0, rows=50_000, trust=4)) > 0.1


@given(SEEDS)
@settings(deadline=None, max_examples=20)
def test_the_interval_holds_the_error_and_follows_its_seed(seed):
    probabilities, truth = draw(seed)
    interval = calibration_interval(probabilities, truth, seed=seed, resamples=200)
    assert interval["value"] == expected_calibration_error(probabilities, truth)
    assert 0 <= interval["low"] <= interval["value"] <= interval["high"] <= 1
    assert interval == calibration_interval(probabilities, truth, seed=seed, resamples=200)
    assert interval != calibration_interval(probabilities, truth, seed=seed + 1, resamples=200)


def test_the_bounds_are_those_of_resampled_rows():
    probabilities, truth = draw(3, rows=100, trust=3)
    generator = np.random.default_rng(9)
    drawn = [generator.integers(100, size=100) for _ in range(2_000)]
    scores = [expected_calibration_error(probabilities[rows], truth[rows]) for rows in drawn]
    interval = calibration_interval(probabilities, truth, resamples=2_000)
    assert [interval["low"], interval["high"]] == pytest.approx(np.quantile(scores, [0.025, 0.975]), abs=0.01)


def test_the_interval_of_a_sure_model_is_clear_of_zero_and_shrinks_with_rows():
    few, many = (calibration_interval(*draw(1, rows=rows, trust=4)) for rows in (200, 5_000))
    assert 0.05 < few["low"] < few["high"]
    assert many["high"] - many["low"] < 0.5 * (few["high"] - few["low"])


def test_many_rows_take_fewer_resamples(monkeypatch):
    probabilities, truth = draw(2)
    fewest, fewer = (calibration_interval(probabilities, truth, resamples=resamples) for resamples in (200, 500))
    monkeypatch.setattr("scriptchain.scoring.calibration._WORK", 500 * len(truth))
    assert calibration_interval(probabilities, truth) == fewer
    monkeypatch.setattr("scriptchain.scoring.calibration._WORK", 1)
    assert calibration_interval(probabilities, truth) == fewest


def test_ten_right_rows_do_not_prove_certainty():
    interval = calibration_interval(np.tile([1.0, 0.0], (10, 1)), np.zeros(10, int))
    assert interval["value"] == interval["low"] == 0
    assert interval["high"] == pytest.approx(0.2775, abs=1e-3)  # 1 - Wilson's lower bound of 10 in 10


def test_float32_probabilities_may_round_past_one():
    probabilities = np.array([[1.000001, 0.0], [0.5, 0.5]], np.float32)
    assert [point["rows"] for point in reliability(probabilities, [0, 0], 2)] == [1, 1]


@pytest.mark.parametrize(
    ("probabilities", "truth", "bins", "message"),
    [
        ([[0.5, 0.6]], [0], 15, "probabilities must be at least 0 and sum to 1 in every row, got another row"),
        ([[1.5, -0.5]], [0], 15, "probabilities must be at least 0 and sum to 1 in every row, got another row"),
        ([[math.nan, 1]], [0], 15, "probabilities must be at least 0 and sum to 1 in every row, got another row"),
        ([0.5, 0.5], [0], 15, "probabilities must be rows x classes, got shape (2,)"),
        (np.zeros((0, 2)), [], 15, "probabilities must be rows x classes, got shape (0, 2)"),
        ([[0.5, 0.5]], [2], 15, "truth must be class indices from 0 to 1, got 2"),
        ([[0.5, 0.5]], [0, 1], 15, "truth must have as many rows as probabilities (1), got 2"),
        ([[0.5, 0.5]], [0], 0, "bins must be at least 1, got 0"),
    ],
)
def test_what_is_no_probability_is_refused(probabilities, truth, bins, message):
    with pytest.raises(DataError) as error:
        expected_calibration_error(probabilities, truth, bins)
    assert str(error.value) == message


# --- proper scores and temperature ------------------------------------------------------------------------------------


@given(SEEDS)
def test_log_loss_and_brier_score_are_those_of_scikit_learn(seed):
    from sklearn.metrics import brier_score_loss
    from sklearn.metrics import log_loss as oracle

    probabilities, truth = draw(seed, rows=20)
    assert log_loss(probabilities, truth) == pytest.approx(oracle(truth, probabilities, labels=range(4)))
    wanted = brier_score_loss(truth, probabilities, labels=range(4), scale_by_half=False)
    assert brier_score(probabilities, truth) == pytest.approx(wanted)


def smoothed_loss(logits, truth, sharpness: float) -> float:
    """What `temperature` minimises, row by row."""
    doubt, classes = 1 / (len(truth) + 2), logits.shape[1]
    total = 0.0
    for row, right in zip(logits * sharpness, truth, strict=True):
        logs = row - row.max() - math.log(sum(math.exp(one - row.max()) for one in row))
        total -= (1 - doubt) * logs[right] + doubt * sum(logs) / classes
    return total


@given(SEEDS, st.floats(0.3, 3.0))
@settings(max_examples=20)
def test_the_temperature_has_the_least_loss(seed, trust):
    stated, truth = draw(seed, trust=trust)
    logits = np.log(stated)
    found = temperature(logits, truth)
    least = smoothed_loss(logits, truth, 1 / found)
    assert all(least <= smoothed_loss(logits, truth, by / found) for by in (0.9, 0.99, 1.01, 1.1))


@given(SEEDS, st.floats(0.1, 10.0))
def test_logits_that_are_twice_as_sure_are_divided_by_twice_as_much(seed, by):
    stated, truth = draw(seed)
    logits = np.log(stated)
    assert temperature(by * logits + 3, truth) == pytest.approx(by * temperature(logits, truth), rel=1e-6)


def test_a_model_that_is_too_sure_is_calibrated_by_it():
    stated, truth = draw(0, rows=4_000, trust=2.5)
    logits = np.log(stated)
    found = temperature(logits, truth)
    assert found == pytest.approx(2.5, rel=0.05)
    scaled = np.exp(logits / found)
    scaled /= scaled.sum(axis=1, keepdims=True)
    assert expected_calibration_error(scaled, truth) < expected_calibration_error(stated, truth) / 3


@pytest.mark.parametrize("rows", [1, 10, 1_000])
def test_rows_that_are_all_right_are_as_sure_as_so_many_rows_can_say(rows):
    logits = np.tile([[1.0, -1.0]], (rows, 1))
    found = temperature(logits, np.zeros(rows, int))
    right = 1 / (1 + math.exp(-2 / found))
    assert right == pytest.approx(1 - 1 / (rows + 2) / 2, abs=1e-6)


def test_logits_that_tell_nothing_are_left_and_wrong_ones_are_made_unsure():
    assert temperature(np.zeros((5, 3)), [0, 1, 2, 0, 1]) == 1.0
    assert temperature([[3.0, 0.0]], [1]) == pytest.approx(100)


@pytest.mark.parametrize(
    ("logits", "truth", "message"),
    [
        ([1.0, 2.0], [0], "logits must be finite rows x classes, got shape (2,)"),
        ([[1.0, math.nan]], [0], "logits must be finite rows x classes, got shape (1, 2)"),
        ([[1.0, 2.0]], [2], "truth must be class indices from 0 to 1, got 2"),
        ([[1.0, 2.0]], [0, 1], "truth must have as many rows as logits (1), got 2"),
    ],
)
def test_temperatures_of_what_is_no_logit_are_refused(logits, truth, message):
    with pytest.raises(DataError) as caught:
        temperature(logits, truth)
    assert str(caught.value) == message
