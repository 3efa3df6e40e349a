"""Laws of the facade: scikit-learn's contract, one answer in memory and on disk, and data in any usual form."""

import numpy as np
import pandas
import polars
import pytest
from sklearn.base import clone, is_classifier
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.utils.validation import check_is_fitted

from scriptchain import Classifier
from scriptchain.data.tasks import generate
from scriptchain.errors import ConfigError, DataError, NotFittedError, UsageError

TINY = {"d_model": 16, "num_heads": 2, "num_layers": 1, "d_feedforward": 32, "epochs": 3, "max_seq_len": 16,
        "vocab_size": 300, "device": "cpu", "patience": 0}  # fmt: skip


@pytest.fixture(scope="module")
def rows() -> tuple[list[str], list[str]]:
    return generate("negation", "train", 120)


@pytest.fixture(scope="module")
def fitted(rows) -> Classifier:
    return Classifier(**TINY).fit(*rows)


def test_what_went_in_comes_out_of_get_params():
    made = Classifier("seed", num_layers=2, threads=1)
    assert made.get_params() == {"preset": "seed", "device": "auto", "threads": 1, "num_layers": 2}
    assert repr(made) == "Classifier(preset='seed', num_layers=2)"


def test_a_clone_is_equal_and_unfitted(fitted):
    twin = clone(fitted)
    assert twin is not fitted
    assert twin.get_params() == fitted.get_params()
    with pytest.raises(NotFittedError):
        twin.predict(["a"])


def test_any_config_key_can_be_set_and_no_other():
    made = Classifier().set_params(num_layers=6, preset="seed", learning_rate=0.01)
    assert (made.config.num_layers, made.config.preset, made.config.learning_rate) == (6, "seed", 0.01)
    with pytest.raises(ConfigError) as caught:
        made.set_params(num_layer=2)
    assert str(caught.value) == "config key must be a known one, got 'num_layer'; hint: did you mean 'num_layers'?"


def test_cross_validation_and_grid_search_run_over_config_keys(rows):
    assert is_classifier(Classifier())
    scores = cross_val_score(Classifier(**TINY), *rows, cv=2)
    assert scores.shape == (2,)
    search = GridSearchCV(Classifier(**TINY), {"num_layers": [1, 2], "positions": ["learned"]}, cv=2).fit(*rows)
    assert set(search.best_params_) == {"num_layers", "positions"}
    assert search.predict(rows[0][:2]).shape == (2,)


def test_fitted_state_is_told_the_way_scikit_learn_asks(fitted):
    check_is_fitted(fitted)
    assert fitted.classes_.tolist() == ["bad", "good"]


def test_answers_agree_with_each_other(fitted, rows):
    texts, labels = rows
    probabilities = fitted.predict_proba(texts)
    assert probabilities.shape == (120, 2)
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-5)
    answers = fitted.predict(texts)
    assert (fitted.classes_[probabilities.argmax(1)] == answers).all()
    assert fitted.score(texts, labels) == accuracy_score(labels, answers)
    assert fitted.evaluate(texts, labels)["metrics"]["accuracy"]["value"] == pytest.approx(fitted.score(texts, labels))


def test_memory_and_disk_answer_the_same(fitted, rows, tmp_path):
    texts, labels = rows
    fitted.save_pretrained(tmp_path / "model")
    loaded = Classifier.from_pretrained(tmp_path / "model")
    np.testing.assert_allclose(loaded.predict_proba(texts), fitted.predict_proba(texts), atol=1e-5)
    assert loaded.get_params()["d_model"] == 16
    assert loaded.config.num_classes == 2
    before, after = (model.evaluate(texts, labels).to_dict() for model in (fitted, loaded))
    assert before["leaks"]["rows"] == after["leaks"]["rows"] == 120
    assert before["baselines"] == after["baselines"]
    loaded.save_pretrained(tmp_path / "copy")
    for file in (tmp_path / "model").iterdir():
        assert file.read_bytes() == (tmp_path / "copy" / file.name).read_bytes()


def test_saving_never_writes_into_a_folder_with_files(fitted, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="the folder must be new or empty, got"):
        fitted.save_pretrained(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["mine.txt"]


def test_the_form_of_the_data_does_not_matter(rows, fitted):
    texts, labels = rows
    expected = fitted.predict_proba(texts[:5])
    frame = pandas.DataFrame({"text": texts, "label": labels})
    forms = [
        (np.array(texts), np.array(labels)),
        (frame["text"], frame["label"]),
        (polars.Series(texts), polars.Series(labels)),
        (frame, None),
        (polars.from_pandas(frame), None),
        ([{"text": text, "label": label} for text, label in zip(texts, labels, strict=True)], None),
    ]
    for data, targets in forms:
        again = Classifier(**TINY).fit(data, targets)
        np.testing.assert_array_equal(again.predict_proba(texts[:5]), expected)


def test_labels_come_back_as_they_were_given(rows):
    texts, labels = rows
    numbers = np.array([labels.index(label) + 7 for label in labels])
    made = Classifier(**TINY).fit(texts, numbers)
    assert made.classes_.dtype.kind == "i"
    assert accuracy_score(numbers, made.predict(texts)) == made.score(texts, numbers)


def test_sample_weights_and_validation_reach_training(rows):
    texts, labels = rows
    plain = Classifier(**TINY).fit(texts, labels).predict_proba(texts)
    weighted = Classifier(**TINY).fit(texts, labels, sample_weight=[1.0, 0.1] * 60).predict_proba(texts)
    assert not np.allclose(plain, weighted)
    with_validation = Classifier(**TINY).fit(texts, labels, validation=generate("negation", "validation", 40))
    assert "validation_macro_f1" in with_validation.history_[0]
    early = Classifier(**TINY | {"patience": 2}).fit(texts, labels)
    assert "validation_macro_f1" in early.history_[0]


def test_class_weights_move_the_answers(rows):
    texts, labels = rows
    lifted = Classifier(**TINY, class_weights={"good": 50.0}).fit(texts, labels)
    assert (lifted.predict(texts) == "good").all()


@pytest.mark.parametrize(
    ("changes", "labels", "error", "message"),
    [
        ({"num_classes": 3}, None, ConfigError,
         "num_classes must be 2, the number of classes in the training rows, got 3; hint: leave num_classes out"),
        ({"class_weights": {"godo": 2.0}}, None, ConfigError,
         "class_weights must name classes of the data, got 'godo'; hint: the classes are bad, good"),
        ({}, ["good"] * 120, DataError, "the training rows must have at least two classes, got 1"),
        ({"positions": "learnd"}, None, ConfigError,
         "positions must be a known encoding, got 'learnd'; hint: did you mean 'learned'?"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_said_in_one_line(rows, changes, labels, error, message):
    with pytest.raises(error) as caught:
        Classifier(**TINY | changes).fit(rows[0], labels or rows[1])
    assert str(caught.value) == message


@pytest.mark.parametrize("ask", [lambda c: c.predict(["a"]), lambda c: c.classes_, lambda c: c.save_pretrained("x")])
def test_before_fit_every_answer_is_refused_and_nothing_is_written(ask, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotFittedError) as caught:
        ask(Classifier())
    assert str(caught.value) == (
        "the classifier must be fitted first, got one without weights; "
        "hint: fit(texts, labels) or Classifier.from_pretrained(folder)"
    )
    assert list(tmp_path.iterdir()) == []


def test_what_only_training_knows_is_refused_after_loading(tiny_run):
    for ask in ("history_", "network_"):
        with pytest.raises(NotFittedError) as caught:
            getattr(Classifier.from_pretrained(tiny_run), ask)
        assert str(caught.value) == (
            f"{ask} must be asked after fit, got a model that was not trained here; hint: fit(texts, labels)"
        )


def test_bad_sample_weights_are_refused(rows):
    with pytest.raises(
        DataError, match=r"sample_weight must be 120 numbers of at least 0, not all 0, got shape \(2,\)"
    ):
        Classifier(**TINY).fit(*rows, sample_weight=[1.0, 2.0])
