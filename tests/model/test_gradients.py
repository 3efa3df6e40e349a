"""Laws of integrated gradients: captum says the same, weights add up, words get what their tokens have."""

import numpy as np
import pytest
import torch
from captum.attr import LayerIntegratedGradients

from scriptchain import Classifier, UsageError
from scriptchain.data.tokenizer import CLS, MASK
from scriptchain.model.gradients import by_gradients, integrated_gradients, log_odds
from scriptchain.runtime.explain import explain

from ..positions.rows import ROWS, network, rows, texts

CHOSEN = [row for row in ROWS if not row.options]


@rows(CHOSEN)
def test_captum_says_the_same(row):
    made = network(row, embedding_std=0.5)
    ids = texts(7)[0]
    baseline = torch.where(ids == CLS, ids, torch.full_like(ids, MASK))

    def answer(ids_BL):
        return log_odds(made(ids_BL, torch.ones_like(ids_BL, dtype=torch.bool)), 1)

    theirs = LayerIntegratedGradients(answer, made.encoder.tokens).attribute(
        ids[None], baseline[None], n_steps=200, method="gausslegendre", internal_batch_size=200
    )
    ours = integrated_gradients(made, ids, 1, nodes=200)
    assert (ours - theirs[0].sum(-1)).abs().max() < 1e-4 * max(1.0, float(ours.abs().max()))


@rows(CHOSEN)
def test_weights_add_up_to_what_the_answer_gains(row):
    made = network(row, embedding_std=0.5).double()
    ids = texts(7)[0]
    baseline = torch.where(ids == CLS, ids, torch.full_like(ids, MASK))
    mask = torch.ones(2, len(ids), dtype=torch.bool)
    with torch.no_grad():
        gain = torch.sub(*log_odds(made(torch.stack([ids, baseline]), mask), 1))
    assert abs(float(integrated_gradients(made, ids, 1).sum() - gain)) <= 0.01 * max(0.1, abs(float(gain)))


def test_the_network_is_left_as_it_was():
    made = network(ROWS[0])
    ids = texts(5)[0]
    before = made(ids[None], torch.ones(1, 5, dtype=torch.bool))
    integrated_gradients(made, ids, 0)
    assert torch.equal(made(ids[None], torch.ones(1, 5, dtype=torch.bool)), before)
    assert all(parameter.grad is None for parameter in made.parameters())


@pytest.fixture(scope="module")
def model():
    made = [f"{'good' if number % 2 else 'bad'} food {number % 7}" for number in range(120)]
    sizes = {"d_model": 16, "num_heads": 2, "num_layers": 1, "d_feedforward": 32, "max_seq_len": 8, "vocab_size": 300}
    return Classifier("small", epochs=30, learning_rate=0.01, **sizes).fit(
        made, ["yes" if number % 2 else "no" for number in range(120)]
    )


def test_the_word_that_decides_weighs_most(model):
    (found,) = model.explain(["food good 3"], method="gradients")
    assert max(found.words, key=lambda word: word.weight).word == "good"
    (other,) = model.explain(["food good 3"], label="no", method="gradients")
    weights = [[word.weight for word in one.words] for one in (found, other)]
    assert weights[0] == pytest.approx([-one for one in weights[1]], rel=1e-4)


def test_words_get_the_weights_of_their_tokens(model):
    fitted = model._fitted
    weigh = by_gradients(fitted.network, fitted.tokenizer)
    text = "Good food, goood!"
    ids = torch.from_numpy(fitted.tokenizer.encode([text]).ids[0])
    total = float(integrated_gradients(fitted.network, ids, 1)[1:].sum() if fitted.tokenizer.cls else
                  integrated_gradients(fitted.network, ids, 1).sum())  # fmt: skip
    spans = [(word.start, word.end) for word in explain(fitted.logits, fitted.labels, text).words]
    assert weigh(text, spans, 1).sum() == pytest.approx(total, abs=1e-5)
    # What the model does not see moves places, not weights.
    hidden = "  Go\u200bod   food, goood!"
    moved = [(hidden.index(part), hidden.index(part) + len(part)) for part in ("Go\u200bod", "food", ",", "goood", "!")]
    assert weigh(hidden, moved, 1) == pytest.approx(weigh(text, spans, 1), abs=1e-6)
    # Two characters that compose weigh as much as the one.
    assert weigh("e\u0301te\u0301 good", [(0, 5), (6, 10)], 1) == pytest.approx(
        weigh("\u00e9t\u00e9 good", [(0, 3), (4, 8)], 1), abs=1e-6
    )


def test_words_behind_the_models_reach_weigh_nothing(model):
    (found,) = model.explain(["good " * 30], method="gradients")
    weights = np.array([word.weight for word in found.words])
    assert (weights[8:] == 0).all()
    assert (weights[:6] != 0).all()


def test_gradients_need_a_network_and_a_method_a_name(model, tmp_path):
    made = [f"{'good' if number % 2 else 'bad'} food {number}" for number in range(40)]
    linear = Classifier("linear").fit(made, ["yes", "no"] * 20)
    message = "gradients need the weights of a network, got an export or a linear model; hint: --method occlusion"
    with pytest.raises(UsageError) as error:
        linear.explain(["good"], method="gradients")
    assert str(error.value) == message
    linear.save_pretrained(tmp_path / "linear")
    with pytest.raises(UsageError) as error:
        Classifier.from_pretrained(tmp_path / "linear").explain(["good"], method="gradients")
    assert str(error.value) == message
    with pytest.raises(UsageError) as error:
        model.explain(["good"], method="lime")
    assert str(error.value) == "method must be one of occlusion, gradients, got 'lime'"
    model.save_pretrained(tmp_path / "run")
    again = Classifier.from_pretrained(tmp_path / "run").explain(["food good 3"], method="gradients")[0]
    here = model.explain(["food good 3"], method="gradients")[0]
    assert [word.weight for word in again.words] == pytest.approx([word.weight for word in here.words], abs=1e-4)
