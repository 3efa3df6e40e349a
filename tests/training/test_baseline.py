"""Laws of fitting the baseline: scikit-learn's own predictions, every class answered for, and no text set breaks it."""

import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from scriptchain.errors import DataError
from scriptchain.scoring.metrics import confusion, macro_f1
from scriptchain.training.baseline import fit_baseline

WORDS = ["good", "bad", "so", "very", "film", "plot", "não", "猫猫", "the", "it"]


def draw(seed: int, rows: int = 80, num_classes: int = 2, noise: float = 0.1):
    """Texts of random words that name their class, but for a share of wrong labels."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, num_classes, rows)
    texts = [" ".join([*generator.choice(WORDS, 6), f"topic{label}"]) for label in labels]
    wrong = generator.random(rows) < noise
    return texts, np.where(wrong, (labels + 1) % num_classes, labels)


def pipeline(strength: float, max_features: int = 100_000):
    return make_pipeline(
        TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), max_features=max_features),
        LogisticRegression(C=strength, max_iter=1_000),
    )


@pytest.mark.parametrize("num_classes", [2, 4])
def test_the_baseline_is_the_pipeline(num_classes):
    texts, labels = draw(0, num_classes=num_classes)
    texts[:2] = ["🙂", ""]  # rows without a word count all the same
    oracle = pipeline(10, 30).fit(texts, labels).predict_proba(texts)
    baseline = fit_baseline(texts, labels, num_classes, max_features=30)
    assert len(baseline.vocabulary) == 30
    np.testing.assert_allclose(baseline.probabilities(texts), oracle, atol=1e-5)


def test_validation_chooses_the_penalty():
    chosen = set()
    for seed in range(4):
        texts, labels = draw(seed, rows=50, num_classes=3, noise=0.4)
        held_texts, held_labels = draw(100 + seed, rows=60, num_classes=3, noise=0.1)
        fitted = [pipeline(strength).fit(texts, labels) for strength in (1, 10, 30)]
        scores = [float(macro_f1(confusion(held_labels, each.predict(held_texts), 3))) for each in fitted]
        best = int(np.argmax(scores))  # the first of equals
        baseline = fit_baseline(texts, labels, 3, (held_texts, held_labels))
        oracle = fitted[best].predict_proba(held_texts)
        np.testing.assert_allclose(baseline.probabilities(held_texts), oracle, atol=1e-5)
        chosen.add(best)
    assert len(chosen) > 1


def test_weights_are_those_of_scikit_learn_and_zero_leaves_a_row_out():
    texts, labels = draw(1)
    weights = np.random.default_rng(1).integers(1, 4, len(texts))
    oracle = pipeline(10).fit(texts, labels, logisticregression__sample_weight=weights).predict_proba(texts)
    weighted = fit_baseline(texts, labels, 2, sample_weight=weights)
    np.testing.assert_allclose(weighted.probabilities(texts), oracle, atol=1e-5)
    more = fit_baseline([*texts, "never"], [*labels, 0], 2, sample_weight=[*weights, 0])
    assert "never" not in more.vocabulary
    np.testing.assert_allclose(more.probabilities(texts), oracle, atol=1e-5)


def test_two_fits_are_one():
    texts, labels = draw(2)
    first, second = (fit_baseline(texts, labels, 2) for _ in range(2))
    np.testing.assert_array_equal(first.logits(texts), second.logits(texts))


@pytest.mark.parametrize("present", [(0, 2), (1, 2, 4)])
def test_a_class_without_texts_is_never_likely(present):
    texts, labels = draw(3, num_classes=len(present))
    probabilities = fit_baseline(texts, np.array(present)[labels], 5).probabilities(texts)
    missing = sorted(set(range(5)) - set(present))
    assert probabilities[:, missing].max() < 1e-12
    oracle = pipeline(10).fit(texts, labels).predict_proba(texts)
    np.testing.assert_allclose(probabilities[:, list(present)], oracle, atol=1e-5)


@pytest.mark.parametrize("texts", [["🙂", "🙁 🙁", "", "a !"], ["...", "x", "\n", "y z"]])
def test_texts_without_words_leave_the_share_of_each_class(texts):
    baseline = fit_baseline(texts, [0, 0, 2, 0], 3, validation=(texts, [0, 0, 2, 0]))
    assert baseline.vocabulary == {}
    assert baseline.probabilities(["🙂", "good film"]) == pytest.approx(np.tile([0.75, 0, 0.25], (2, 1)), abs=1e-7)
    weighted = fit_baseline(texts, [0, 0, 2, 0], 3, sample_weight=[1, 1, 6, 1])
    assert weighted.probabilities([""])[0] == pytest.approx([1 / 3, 0, 2 / 3], abs=1e-7)


def test_one_class_is_the_only_answer():
    probabilities = fit_baseline(["good film", "bad film"], [1, 1], 3).probabilities(["good", "other"])
    assert probabilities[:, 1].min() > 1 - 1e-9


def test_a_fit_that_does_not_converge_is_no_warning(monkeypatch):
    monkeypatch.setattr("scriptchain.training.baseline._STEPS", 1)
    texts, labels = draw(4)
    with pytest.warns(ConvergenceWarning):
        pipeline(10).set_params(logisticregression__max_iter=1).fit(texts, labels)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit_baseline(texts, labels, 2)
    assert caught == []


@pytest.mark.parametrize(
    ("texts", "labels", "options", "message"),
    [
        ([], [], {}, "texts must hold at least one row of positive weight, got none"),
        (["a"], [0], {"sample_weight": [0]}, "texts must hold at least one row of positive weight, got none"),
        (["a"], [0, 1], {}, "labels must have as many rows as texts (1), got 2"),
        (["a"], [2], {}, "labels must be class indices from 0 to 1, got 2"),
        (["a"], [0], {"sample_weight": [-1]}, "sample_weight must be finite and 0 or more, got -1.0"),
        (["a"], [0], {"sample_weight": [np.nan]}, "sample_weight must be finite and 0 or more, got nan"),
        (["a"], [0], {"sample_weight": [1, 2]}, "sample_weight must be one number a row, shape (1,), got shape (2,)"),
    ],
)
def test_rows_that_cannot_be_fitted_are_refused(texts, labels, options, message):
    with pytest.raises(DataError) as error:
        fit_baseline(texts, labels, 2, **options)
    assert str(error.value) == message
