"""Laws of the loaded model: order and neighbors change no answer, and the parts that are not needed are not read."""

import numpy as np
import pytest

from scriptchain.errors import ModelError
from scriptchain.runtime.session import Session, session_logits, softmax

TEXTS = ["the food was good", "bad", "the wine was not good and the food was bad today", "good food"]


@pytest.fixture(scope="module")
def session(tiny_run) -> Session:
    return Session(tiny_run, threads=1)


def test_neighbors_and_order_change_no_answer(session):
    together = session.logits(TEXTS)
    np.testing.assert_allclose(together, np.concatenate([session.logits([text]) for text in TEXTS]), atol=1e-5)
    np.testing.assert_allclose(session.logits(TEXTS[::-1])[::-1], together, atol=1e-5)


def test_probabilities_are_the_softmax_and_survive_large_logits(session):
    np.testing.assert_allclose(session.probabilities(TEXTS).sum(1), 1, rtol=1e-6)
    np.testing.assert_allclose(softmax(np.array([[1000.0, 0.0], [-1000.0, -1000.0]], np.float32)), [[1, 0], [0.5, 0.5]])


def test_training_texts_are_known_by_leak_key(session, tiny_data):
    from scriptchain.data.records import read
    from scriptchain.run import make_splits

    splits = make_splits(read(tiny_data), None, None, 0)
    assert session.saw([text.upper() + " !!" for text in splits.train.texts]).all()
    assert not session.saw(splits.test.texts).any()


def test_truncated_texts_are_counted(session):
    long = [length > session.config.max_seq_len for length in session.bundle.tokenizer.lengths([*TEXTS, "word " * 100])]
    assert long[-1]
    assert not long[0]
    assert session.count_truncated([*TEXTS, "word " * 100]) == sum(long)


def test_what_is_no_onnx_model_is_refused(session):
    with pytest.raises(ModelError, match=r"^model.onnx must be a model that onnxruntime loads \("):
        session_logits(b"no model", session.bundle.tokenizer)
