"""Laws of fitting the baseline: scikit-learn's own predictions, every class answered for, and no text set breaks it."""

import errno
import io
import tempfile
import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline, make_union

from scriptchain import report
from scriptchain.errors import DataError, ResourceError
from scriptchain.scoring.metrics import confusion, macro_f1
from scriptchain.training import baseline
from scriptchain.training.baseline import fit_baseline

WORDS = ["good", "bad", "so", "very", "film", "plot", "não", "猫猫", "the", "it"]


def draw(seed: int, rows: int = 80, num_classes: int = 2, noise: float = 0.1, shares=None):
    """Texts of random words that name their class, but for a share of wrong labels."""
    generator = np.random.default_rng(seed)
    labels = generator.choice(num_classes, rows, p=shares)
    texts = [" ".join([*generator.choice(WORDS, 6), f"topic{label}"]) for label in labels]
    wrong = generator.random(rows) < noise
    return texts, np.where(wrong, (labels + 1) % num_classes, labels)


def pipeline(strength: float = 3, balance: str | None = "balanced", max_features: int = 50_000):
    words = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), max_features=max_features)
    characters = TfidfVectorizer(
        sublinear_tf=True, ngram_range=(3, 5), analyzer="char_wb", min_df=2, max_features=max_features
    )
    return make_pipeline(
        make_union(words, characters), LogisticRegression(C=strength, class_weight=balance, max_iter=1_000)
    )


@pytest.mark.parametrize("num_classes", [2, 4])
def test_the_baseline_is_the_pipeline(num_classes):
    texts, labels = draw(0, num_classes=num_classes)
    texts[:2] = ["🙂", ""]  # rows without a word count all the same
    oracle = pipeline(max_features=30).fit(texts, labels).predict_proba(texts)
    baseline = fit_baseline(texts, labels, num_classes, max_features=30)
    assert baseline.characters is not None
    assert len(baseline.vocabulary) == len(baseline.characters.vocabulary) == 30
    np.testing.assert_allclose(baseline.probabilities(texts), oracle, atol=1e-5)


@pytest.mark.parametrize("rows", [80, 81, 95, 160])
def test_rows_that_are_counted_in_pieces_give_the_same_bytes(rows, monkeypatch):
    texts, labels = draw(4, rows=rows, num_classes=3, noise=0.3)
    views = baseline._views(texts, 50_000)
    whole = baseline._counted(views, texts, None)
    monkeypatch.setattr(baseline, "_AT_ONCE", 16)
    monkeypatch.setattr(baseline, "_PIECE", 16)
    pieces = baseline._counted(views, texts, None)
    assert all(isinstance(array.base.base, np.memmap) for array in (pieces.data, pieces.indices))  # and no copy
    for name in ("data", "indices", "indptr"):
        np.testing.assert_array_equal(getattr(pieces, name), getattr(whole, name))
    fitted = [
        baseline.fit_regression(each, labels, np.ones(rows), 3.0, "balanced", 0).coef_ for each in (whole, pieces)
    ]
    assert fitted[0].tobytes() == fitted[1].tobytes()


def test_of_many_rows_the_ngrams_are_those_of_drawn_ones(monkeypatch):
    texts, labels = draw(5, rows=400, num_classes=2)
    texts = [f"{text} row{row}" for row, text in enumerate(texts)]
    whole = fit_baseline(texts, labels, 2)
    monkeypatch.setattr(baseline, "_AT_ONCE", 200)
    held = draw(6, rows=250)
    found, again, other = (fit_baseline(texts, labels, 2, held, seed=seed) for seed in (0, 0, 1))
    for model in (found, other):
        rows = [int(word.removeprefix("row")) for word in model.vocabulary if word.startswith("row")]
        assert len(rows) == 200
        assert 60 < sum(row < 200 for row in rows) < 140  # not the first ones: a file may be sorted by label
        assert (np.argmax(model.probabilities(held[0]), 1) == held[1]).mean() > 0.85
    assert found.vocabulary == again.vocabulary != other.vocabulary
    assert len(whole.vocabulary) > len(found.vocabulary)


def test_many_rows_tell_how_far_they_are(monkeypatch):
    monkeypatch.setattr(baseline, "_AT_ONCE", 32)
    monkeypatch.setattr(baseline, "_PIECE", 32)
    monkeypatch.setattr(report, "SILENT", -1.0)
    told = io.StringIO()
    fit_baseline(*draw(7), 2, (["good"], [0]), stream=told)
    lines = told.getvalue().splitlines()
    assert [line.split(" texts, ")[0] for line in lines[:3]] == [
        f"the linear baseline counted {done} of 80" for done in (32, 64, 80)
    ]
    assert lines[3] == "the linear baseline learns from 80 texts 6 times"
    assert [line.split(" texts, ")[0] for line in lines[4:]] == [
        f"the linear baseline learned from {80 * done} of 480" for done in range(1, 7)
    ]


def test_a_full_disk_says_which_and_where_else(monkeypatch):
    class Full(io.BytesIO):
        def write(self, _):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(baseline, "_AT_ONCE", 16)
    monkeypatch.setattr(baseline, "_PIECE", 16)
    monkeypatch.setattr(baseline, "TemporaryFile", Full)
    monkeypatch.setattr(tempfile, "tempdir", "/scratch")
    with pytest.raises(ResourceError) as caught:
        fit_baseline(*draw(7), 2)
    assert str(caught.value) == (
        "/scratch must have room for the n-grams of 80 texts (No space left on device); "
        "hint: TMPDIR=FOLDER before the command names another"
    )


def test_a_reader_of_the_progress_who_went_away_is_no_full_disk(monkeypatch):
    class Closed(io.StringIO):
        def write(self, _):
            raise BrokenPipeError

    monkeypatch.setattr(baseline, "_AT_ONCE", 16)
    monkeypatch.setattr(baseline, "_PIECE", 16)
    monkeypatch.setattr(report, "SILENT", -1.0)
    with pytest.raises(BrokenPipeError):
        fit_baseline(*draw(7), 2, stream=Closed())


def test_many_rows_without_an_ngram_that_is_known_are_answered_all_alike(monkeypatch):
    monkeypatch.setattr(baseline, "_AT_ONCE", 4)
    monkeypatch.setattr(baseline, "_PIECE", 4)
    texts, labels = ["good film", "bad film", "good plot", "bad plot", "good one"], [0, 1, 0, 1, 0]
    model = fit_baseline(texts, labels, 2, (["🙂"] * 9, [0] * 9))
    assert np.ptp(model.probabilities(["🙂", "猫"]), axis=0).tolist() == [0, 0]


def test_validation_chooses_the_penalty_and_the_weights_of_classes():
    chosen = set()
    for seed in range(6):
        texts, labels = draw(seed, rows=50, num_classes=3, noise=0.4, shares=[0.6, 0.3, 0.1])
        held_texts, held_labels = draw(100 + seed, rows=60, num_classes=3, noise=0.1, shares=[0.6, 0.3, 0.1])
        choices = [(strength, balance) for strength in (1, 3, 10) for balance in ("balanced", None)]
        fitted = [pipeline(*choice).fit(texts, labels) for choice in choices]
        scores = [float(macro_f1(confusion(held_labels, each.predict(held_texts), 3))) for each in fitted]
        best = int(np.argmax(scores))  # the first of equals
        baseline = fit_baseline(texts, labels, 3, (held_texts, held_labels))
        oracle = fitted[best].predict_proba(held_texts)
        np.testing.assert_allclose(baseline.probabilities(held_texts), oracle, atol=1e-5)
        chosen.add(choices[best])
    assert len({strength for strength, _ in chosen}) > 1
    assert {balance for _, balance in chosen} == {"balanced", None}


def test_many_rows_have_one_penalty(monkeypatch):
    texts, labels = draw(0, rows=50, num_classes=3, noise=0.4, shares=[0.6, 0.3, 0.1])
    held_texts, held_labels = draw(100, rows=60, num_classes=3, shares=[0.6, 0.3, 0.1])
    tried = []
    real = baseline.fit_regression
    monkeypatch.setattr(baseline, "fit_regression", lambda *given: (tried.append(given[3:5]), real(*given))[1])
    for many, count in ((150, 6), (149, 2)):
        monkeypatch.setattr(baseline, "_MANY", many)
        fit_baseline(texts, labels, 3, (held_texts, held_labels))
        assert len(tried) == count
        tried.clear()


def test_weights_are_those_of_scikit_learn_and_zero_leaves_a_row_out():
    texts, labels = draw(1)
    weights = np.random.default_rng(1).integers(1, 4, len(texts))
    oracle = pipeline().fit(texts, labels, logisticregression__sample_weight=weights).predict_proba(texts)
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
    oracle = pipeline().fit(texts, labels).predict_proba(texts)
    np.testing.assert_allclose(probabilities[:, list(present)], oracle, atol=1e-5)


@pytest.mark.parametrize("texts", [["🙂", "🙁 🙁", "", "a !"], ["...", "x", "\n", "y z"]])
def test_texts_with_nothing_to_count_leave_the_share_of_each_class(texts):
    baseline = fit_baseline(texts, [0, 0, 2, 0], 3, validation=(texts, [0, 0, 2, 0]))
    assert baseline.vocabulary == {}
    assert baseline.probabilities(["🙂", "good film"]) == pytest.approx(np.tile([0.75, 0, 0.25], (2, 1)), abs=1e-7)
    weighted = fit_baseline(texts, [0, 0, 2, 0], 3, sample_weight=[1, 1, 6, 1])
    assert weighted.probabilities([""])[0] == pytest.approx([1 / 3, 0, 2 / 3], abs=1e-7)


def test_texts_without_words_are_told_by_their_characters():
    texts, labels = ["🙂", "🙁", "🙂 !", "🙁 !"], [0, 1, 0, 1]
    baseline = fit_baseline(texts, labels, 2)
    assert baseline.characters is None
    assert baseline.analyzer.unit == "character"
    assert baseline.logits(["🙂 ?", "🙁 ?"]).argmax(1).tolist() == [0, 1]
    words = fit_baseline(["ab", "cd", "ab ef", "cd gh"], labels, 2)
    assert words.characters is not None
    only = fit_baseline(["abc", "dfg"], [0, 1], 2)  # no n-gram of characters stands in two texts
    assert only.characters is None
    assert only.analyzer.unit == "word"


def test_one_class_is_the_only_answer():
    probabilities = fit_baseline(["good film", "bad film"], [1, 1], 3).probabilities(["good", "other"])
    assert probabilities[:, 1].min() > 1 - 1e-9


def test_a_fit_that_does_not_converge_is_no_warning(monkeypatch):
    monkeypatch.setattr("scriptchain.training.baseline._STEPS", 1)
    texts, labels = draw(4)
    with pytest.warns(ConvergenceWarning):
        pipeline().set_params(logisticregression__max_iter=1).fit(texts, labels)
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
