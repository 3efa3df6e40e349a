"""Laws of contrastive training: texts of one class come together, names are texts, and nothing else is learned."""

import os
import signal

import numpy as np
import pytest
import torch

from scriptchain import Classifier, ConfigError, DivergedError, config
from scriptchain.data.batches import pad
from scriptchain.data.records import read
from scriptchain.model.pipeline import Network
from scriptchain.run import train
from scriptchain.training import contrast as module
from scriptchain.training.contrast import contrast, draw_together, vectors_of, with_names
from scriptchain.training.loop import Examples
from scriptchain.training.seed import seeded
from scriptchain.training.start import start_of

from ..pretrained import FITTING, bert_folder


@pytest.fixture(scope="module")
def recipe(tmp_path_factory) -> dict:
    init = {"backbone": str(bert_folder(tmp_path_factory.mktemp("bert")))}
    return FITTING | {"init": init, "num_layers": 1, "contrastive_steps": 100, "learning_rate": 3e-3, "batch_size": 16}


def made(recipe: dict):
    """Forty texts that a word tells apart, their tokenizer, and a network for them."""
    frames = ["the food was {}", "the wine was {} !", "not {} wine , the food", "{} food was the wine", "was the {}"]
    ends = ["", " .", " ?", " , not wine"]
    texts = [frame.format(word) + end for word in ("good", "bad") for frame in frames for end in ends]
    settled = config.resolve("few", overrides=recipe)
    start = start_of(settled)
    tokenizer = start.tokenizer(texts)
    labels = np.repeat([0, 1], 20)
    with seeded(0):
        network = Network(settled, tokenizer.vocab_size, 2)
        start.fill(network, tokenizer)
    return Examples(tokenizer.encode(texts).ids, labels, np.ones(40, np.float32)), tokenizer, network, settled


def trained(recipe: dict, examples: Examples) -> Network:
    _, _, network, settled = made(recipe)
    with seeded(0):
        draw_together(network, examples, settled, device="cpu")
    return network


def test_the_loss_is_the_mean_surprise_at_the_others_of_the_class():
    torch.manual_seed(0)
    vectors, labels = torch.randn(6, 5, dtype=torch.float64), torch.tensor([0, 0, 0, 1, 1, 2])
    directions = vectors / vectors.norm(dim=1, keepdim=True)
    told = []
    for row in range(5):  # the sixth has no other of its class
        others = [one for one in range(6) if one != row]
        exponentials = {one: torch.exp(directions[row] @ directions[one] / module.TEMPERATURE) for one in others}
        kin = [one for one in others if labels[one] == labels[row]]
        told.append(-sum(torch.log(exponentials[one] / sum(exponentials.values())) for one in kin) / len(kin))
    assert contrast(vectors, labels) == pytest.approx(float(sum(told) / 5))
    assert contrast(3 * vectors, labels) == pytest.approx(float(contrast(vectors, labels)))  # directions alone


def test_a_batch_without_two_of_a_class_has_no_loss_and_no_gradient():
    vectors = torch.randn(3, 4, requires_grad=True)
    loss = contrast(vectors, torch.tensor([0, 1, 2]))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(vectors.grad, torch.zeros_like(vectors))


def test_texts_of_a_class_come_together(recipe):
    examples, _, before, _ = made(recipe)
    after = trained(recipe, examples)

    def gap(network: Network) -> float:
        """By how much two texts of a class are closer than two of others."""
        with torch.inference_mode():
            shown = map(torch.from_numpy, pad(examples.ids))
            vectors = torch.nn.functional.normalize(vectors_of(network.eval(), *shown), dim=1)
        cosines, same = (vectors @ vectors.T).numpy(), examples.labels[:, None] == examples.labels
        return float(cosines[same].mean() - cosines[~same].mean())

    assert gap(after) > gap(before) + 0.5
    assert all(torch.equal(one, other) for one, other in zip(
        before.head.mlp.parameters(), after.head.mlp.parameters(), strict=True
    ))  # fmt: skip


def test_rows_of_weight_zero_are_in_no_pair(recipe):
    examples, *_ = made(recipe)
    weights = np.ones(40, np.float32)
    weights[30:] = 0
    one = trained(recipe, Examples(examples.ids, examples.labels, weights))
    other = trained(recipe, Examples(examples.ids[:30], examples.labels[:30], weights[:30]))
    for name, tensor in one.state_dict().items():
        assert torch.equal(other.state_dict()[name], tensor), name


def test_a_step_holds_as_many_of_each_class_and_of_some_where_there_are_too_many():
    rng = np.random.default_rng(0)
    members = [np.arange(0, 50), np.arange(50, 53)]
    rows = module._some_of_each(members, 16, rng)
    assert ((rows < 50).sum(), (rows >= 50).sum()) == (8, 8)  # three texts repeat
    many = [np.arange(5 * number, 5 * number + 5) for number in range(28)]
    rows = module._some_of_each(many, 16, rng)
    classes, counts = np.unique(rows // 5, return_counts=True)
    assert (len(classes), set(counts)) == (8, {2})
    assert len(set(rows)) == 16


def test_names_of_classes_are_texts_where_they_have_letters(recipe):
    examples, tokenizer, *_ = made(recipe)
    more = with_names(examples, ["good_food", "1", "not-bad", "++"], tokenizer)
    assert [ids.tolist() for ids in more.ids[40:]] == [
        ids.tolist() for ids in tokenizer.encode(["good food", "not bad"]).ids
    ]
    assert more.labels[40:].tolist() == [0, 2]
    assert len(more.weights) == 42
    assert len(with_names(examples, ["1", "2"], tokenizer).ids) == 40


def test_a_few_model_is_a_run_folder_like_any_other(recipe, tmp_path):
    rows = read("emotions").subset(range(40))
    model = Classifier("few", **recipe).fit(rows.texts, rows.labels)
    again = Classifier("few", **recipe).fit(rows.texts, rows.labels)
    plain = Classifier("few", **recipe | {"contrastive_steps": 0}).fit(rows.texts, rows.labels)
    assert np.array_equal(model.predict_proba(rows.texts), again.predict_proba(rows.texts))
    assert model.score(rows.texts, rows.labels) > plain.score(rows.texts, rows.labels)
    model.save_pretrained(tmp_path / "run")
    loaded = Classifier.from_pretrained(tmp_path / "run")
    np.testing.assert_allclose(loaded.predict_proba(rows.texts), model.predict_proba(rows.texts), atol=1e-5)


def test_a_loss_that_diverges_is_told(recipe, monkeypatch):
    examples, _, network, settled = made(recipe)
    monkeypatch.setattr(module, "contrast", lambda vectors, labels: vectors.sum() * torch.nan)
    with pytest.raises(DivergedError) as caught:
        draw_together(network, examples, settled, device="cpu")
    assert str(caught.value).startswith("the loss must stay finite, got nan at step 1 (")


def test_an_impatient_end_is_at_once_and_leaves_nothing(recipe, monkeypatch, tmp_path):
    """There is no step that could be kept."""
    taken = []

    def interrupted(vectors, labels):
        taken.append(1)
        os.kill(os.getpid(), signal.SIGINT)
        return contrast(vectors, labels)

    monkeypatch.setattr(module, "contrast", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(read("emotions"), config.resolve("few", overrides=recipe), tmp_path / "run", device="cpu")
    assert len(taken) == 1
    assert list(tmp_path.iterdir()) == []


def test_contrastive_steps_need_a_head_that_is_fitted_behind_them():
    with pytest.raises(ConfigError) as caught:
        config.resolve("tuned", settings=["contrastive_steps=5"])
    assert str(caught.value) == (
        "contrastive_steps must be 0 unless frozen fits a head behind them, got 5; hint: --preset few"
    )
