"""Laws of silence: a threshold keeps its promise on other rows, answers as many as it can, and never guesses."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from scriptchain.errors import DataError
from scriptchain.scoring.selective import selective, tail


def draw(seed: int, rows: int, classes: int = 3):
    """Probabilities, and a truth that is drawn from them: a score of 0.9 is right in 0.9 of the rows."""
    generator = np.random.default_rng(seed)
    chances = generator.dirichlet(np.full(classes, 0.4), rows)
    truth = (generator.random((rows, 1)) > chances.cumsum(axis=1)).sum(axis=1).clip(max=classes - 1)
    return chances, truth


@given(st.integers(1, 300), st.floats(0.01, 0.99), st.data())
def test_the_tail_is_that_of_scipy(rows, precision, data):
    right = data.draw(st.integers(0, rows))
    assert tail(right, rows, precision) == pytest.approx(binom.sf(right - 1, rows, precision), rel=1e-6, abs=1e-12)


def test_promises_are_broken_no_more_often_than_they_say():
    everything, truth = draw(0, 200_000)
    scores, right = everything.max(1), everything.argmax(1) == truth
    broken = {0.8: 0, 0.9: 0, 0.95: 0}
    for seed in range(1, 201):
        for row in selective(*draw(seed, 400), precisions=tuple(broken)):
            if row["threshold"] is not None:
                broken[row["precision"]] += right[scores >= row["threshold"]].mean() < row["precision"]
    assert all(count <= 10 for count in broken.values())  # of 200
    assert sum(broken.values()) < 30


def test_more_rows_let_more_texts_be_answered():
    answered = [selective(*draw(1, rows), precisions=(0.9,))[0]["answered"] or 0 for rows in (50, 500, 5_000, 50_000)]
    assert answered == sorted(answered)
    assert answered[0] < answered[-1]
    scores = draw(2, 100_000)[0].max(1)
    # the ideal: the largest share whose mean score is 0.9, in steps of 5 %
    best = max(k for k in range(1, 21) if np.sort(scores)[::-1][: k * 5_000].mean() >= 0.9) / 20
    assert best - 0.1 <= answered[-1] <= best


@given(st.integers(0, 2**32 - 1), st.integers(1, 200))
def test_what_is_said_of_the_rows_is_so(seed, rows):
    chances, truth = draw(seed, rows)
    scores, right = chances.max(1), chances.argmax(1) == truth
    for row in selective(chances, truth):
        if row["threshold"] is None:
            assert (row["answered"], row["right"]) == (None, None)
            continue
        sure = scores >= row["threshold"]
        assert row["answered"] == sure.mean()
        assert row["right"]["value"] == pytest.approx(right[sure].mean())
        assert right[sure].mean() > row["precision"]


def test_few_rows_show_nothing_and_ties_stay_together():
    sure = np.tile([[0.9, 0.1]], (20, 1))
    assert selective(sure, np.zeros(20, int), (0.9,))[0]["threshold"] is None
    sure = np.tile([[0.9, 0.1]], (200, 1))
    (row,) = selective(sure, np.zeros(200, int), (0.9,))
    assert (row["threshold"], row["answered"]) == (0.9, 1.0)


@pytest.mark.parametrize("precision", [0.0, 1.0, float("nan")])
def test_precisions_are_shares(precision):
    with pytest.raises(DataError) as caught:
        selective([[0.5, 0.5]], [0], (precision,))
    assert str(caught.value) == f"precisions must be between 0 and 1, got ({precision},)"
