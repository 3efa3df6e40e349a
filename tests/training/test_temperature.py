"""Laws of folding the temperature in: answers stay, logits are divided, and rows that were not learned from decide."""

import numpy as np
import pytest

from scriptchain import Classifier
from scriptchain.data.tasks import generate
from scriptchain.scoring.calibration import log_loss, temperature
from scriptchain.training import temperature as module

SIZE = {"d_model": 16, "num_heads": 2, "num_layers": 1, "d_feedforward": 32, "max_seq_len": 16, "epochs": 3,
        "learning_rate": 0.01, "vocab_size": 300}  # fmt: skip


@pytest.fixture(scope="module")
def split():
    texts, labels = generate("negation", "train", 400)
    return (texts[:200], labels[:200]), (texts[200:300], labels[200:300])


def fitted(train, validation, **changes) -> Classifier:
    return Classifier("small", device="cpu", threads=1, **SIZE, **changes).fit(*train, validation=validation)


def test_logits_are_divided_by_the_temperature_of_the_validation_rows(split, monkeypatch):
    train, validation = split
    scaled = fitted(train, validation)
    monkeypatch.setattr(module, "temperature", lambda logits, truth: 1.0)
    plain = fitted(train, validation)
    logits, before = (model.logits(validation[0]) for model in (scaled, plain))
    truth = [list(plain.classes_).index(label) for label in validation[1]]
    found = temperature(before, truth)
    assert found != pytest.approx(1.0, abs=0.01)
    assert scaled._state.outcome.temperature == pytest.approx(found)
    np.testing.assert_allclose(logits * found, before, rtol=1e-4, atol=1e-5)
    assert (scaled.predict(train[0]) == plain.predict(train[0])).all()
    assert log_loss(scaled.predict_proba(validation[0]), truth) < log_loss(plain.predict_proba(validation[0]), truth)


def test_without_rows_to_decide_by_nothing_is_divided(split):
    train, _ = split
    model = fitted(train, None, patience=0)
    assert model._state.outcome.temperature == 1.0


def test_who_loads_the_model_has_the_scaled_logits(split, tmp_path):
    model = fitted(*split)
    model.save_pretrained(tmp_path / "model")
    loaded = Classifier.from_pretrained(tmp_path / "model", threads=1)
    np.testing.assert_allclose(loaded.predict_proba(split[1][0]), model.predict_proba(split[1][0]), atol=1e-5)
