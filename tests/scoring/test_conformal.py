"""Laws of label sets: they hold the right label as often as they say, whatever the model is worth."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import betabinom

from scriptchain.errors import DataError
from scriptchain.scoring.conformal import band, label_sets


def draw(seed: int, rows: int, classes: int = 5, trust: float = 1.0):
    """Random probabilities and a truth drawn from them; `trust` makes the model too sure, or too little."""
    generator = np.random.default_rng(seed)
    chances = generator.dirichlet(np.full(classes, 0.5), rows)
    truth = (generator.random((rows, 1)) > chances.cumsum(axis=1)).sum(axis=1).clip(max=classes - 1)
    stated = (chances + 1e-9) ** trust
    return stated / stated.sum(axis=1, keepdims=True), truth


@pytest.mark.parametrize("trust", [0.3, 1.0, 4.0, 0.0])
@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95])
def test_the_right_label_is_in_the_set_as_often_as_it_says(coverage, trust):
    found = [label_sets(*draw(seed, 300, trust=trust), coverage, seed=seed) for seed in range(300)]
    covered = np.array([one["measured"] for one in found])
    assert covered.mean() >= coverage - 0.01
    if trust:  # without ties the sets are no larger than they must be
        assert covered.mean() <= coverage + 0.02
        outside = sum(not one["band"][0] <= one["measured"] <= one["band"][1] for one in found)
        assert outside <= 9  # of 300, 3 are expected


@given(st.integers(20, 200), st.integers(1, 200), st.sampled_from([0.7, 0.9]))
def test_the_band_is_the_beta_binomial_law(choosing, measuring, coverage):
    below = math.floor((choosing + 1) * (1 - coverage) + 1e-9)
    law = betabinom(measuring, choosing + 1 - below, below)
    wanted = (law.ppf(0.005) / measuring, law.ppf(0.995) / measuring)
    assert band(choosing, measuring, coverage) == pytest.approx(wanted)


def test_a_better_model_has_smaller_sets():
    chances, truth = draw(0, 4_000)
    knowing = label_sets(chances, truth)
    guessing = label_sets(np.random.default_rng(1).dirichlet(np.ones(5), 4_000), truth)
    assert knowing["mean_size"] < guessing["mean_size"] - 1
    assert knowing["measured"] == pytest.approx(guessing["measured"], abs=0.03)


@given(st.integers(0, 2**32 - 1), st.integers(40, 200))
def test_the_threshold_of_all_rows_covers_them(seed, rows):
    chances, truth = draw(seed, rows)
    found = label_sets(chances, truth)
    right = chances[np.arange(rows), truth]
    assert (right >= found["threshold"]).mean() >= 0.9
    assert (right > found["threshold"]).mean() < 0.9 + 1 / rows


def test_few_rows_make_no_promise():
    assert label_sets(*draw(0, 16)) is None
    assert label_sets(*draw(0, 17)) is not None  # nine rows choose: one of ten may lie below
    assert label_sets(*draw(0, 17), 0.99) is None


@pytest.mark.parametrize("coverage", [0.0, 1.0, -1.0])
def test_a_coverage_is_a_share(coverage):
    with pytest.raises(DataError) as caught:
        label_sets([[0.5, 0.5]], [0], coverage)
    assert str(caught.value) == f"coverage must be between 0 and 1, got {coverage}"
