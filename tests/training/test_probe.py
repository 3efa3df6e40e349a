"""Laws of a frozen encoder: not one of its numbers moves, and the head is a regression on what it says."""

import numpy as np
import pytest
import torch

from scriptchain import Classifier, ConfigError, UsageError, config
from scriptchain.data.records import read
from scriptchain.model.pipeline import Network, torch_logits
from scriptchain.training.loop import Examples
from scriptchain.training.probe import fit_head
from scriptchain.training.probe import read as features_of
from scriptchain.training.seed import seeded
from scriptchain.training.start import start_of

from ..pretrained import FITTING, bert_folder


@pytest.fixture(scope="module")
def recipe(tmp_path_factory) -> dict:
    init = {"backbone": str(bert_folder(tmp_path_factory.mktemp("bert")))}
    return FITTING | {"init": init, "pooled_layers": 2}


def test_the_encoder_stays_as_it_was_and_the_head_learns(recipe, tmp_path):
    rows = read("emotions")
    model = Classifier("frozen", **recipe)
    outcome = model.fit_records(rows.subset(range(80)), validation=rows.subset(range(80, 100)))
    start = start_of(model.config)
    tokenizer = start.tokenizer(rows.texts[:80])
    network = Network(model.config, tokenizer.vocab_size, 4)
    start.fill(network, tokenizer)
    for name, tensor in network.encoder.state_dict().items():
        assert torch.equal(model.network_.encoder.state_dict()[name], tensor), name
    assert outcome.history[0].keys() == {
        "epoch",
        "step",
        "validation_loss",
        "validation_accuracy",
        "validation_macro_f1",
    }
    assert model.score(rows.texts[:80], rows.labels[:80]) > 0.4  # chance is a quarter
    model.save_pretrained(tmp_path / "run")
    loaded = Classifier.from_pretrained(tmp_path / "run")
    np.testing.assert_allclose(loaded.predict_proba(rows.texts), model.predict_proba(rows.texts), atol=1e-5)


@pytest.mark.parametrize("positions", ["learned", "tupe"])
def test_the_regression_reads_what_the_network_will_classify(recipe, positions):
    """Also where an encoding knows [CLS] from other tokens."""
    rows = read("emotions")
    made = config.resolve("frozen", overrides=recipe | {"positions": positions, "pooling": "cls"})
    start = start_of(made)
    tokenizer = start.tokenizer(rows.texts)
    with seeded(0):
        network = Network(made, tokenizer.vocab_size, 2)
        start.fill(network, tokenizer)
        for parameter in network.encoder.encodings.parameters():  # untrained ones may tell nothing apart
            torch.nn.init.normal_(parameter)
    ids = tokenizer.encode(rows.texts).ids
    ones = np.ones(len(ids), np.float32)
    features = features_of(network, Examples(ids, np.zeros(len(ids), np.int64), ones), None)
    with torch.inference_mode():
        told = network.head.mlp(torch.from_numpy(features.astype(np.float32))).numpy()
    np.testing.assert_allclose(told, torch_logits(network, tokenizer)(rows.texts), atol=1e-5)


def test_the_head_is_fitted_to_what_the_encoder_says_of_each_text(recipe):
    """Two classes that a direction of the features tells apart are told apart, whatever the order of the texts."""
    rows = read("emotions")
    made = config.resolve("frozen", overrides=recipe)
    start = start_of(made)
    tokenizer = start.tokenizer(rows.texts)
    network = Network(made, tokenizer.vocab_size, 2)
    start.fill(network, tokenizer)
    ids = tokenizer.encode(rows.texts).ids
    ones = np.ones(len(ids), np.float32)
    features = features_of(network, Examples(ids, np.zeros(len(ids), np.int64), ones), None)
    labels = (features[:, 0] > np.median(features[:, 0])).astype(np.int64)
    examples = Examples(ids, labels, ones)
    outcome = fit_head(network, examples, made, validation=examples, device="cpu")
    assert outcome.history[0]["validation_accuracy"] > 0.9
    direct = features @ network.head.mlp[-1].weight.detach().numpy().T + network.head.mlp[-1].bias.detach().numpy()
    assert np.mean(direct.argmax(1) == labels) == outcome.history[0]["validation_accuracy"]


def test_rows_of_weight_zero_teach_nothing(recipe):
    texts, labels = ["the food was good"] * 3 + ["the wine was bad"] * 3, ["pro"] * 3 + ["con"] * 3
    wrong = [*labels[:3], "pro", "pro", "pro"]
    weights = [1.0] * 6 + [0.0] * 6
    model = Classifier("frozen", patience=0, **recipe)
    probabilities = [
        model.fit(texts + texts, labels + more, sample_weight=weights).predict_proba(texts) for more in (labels, wrong)
    ]
    np.testing.assert_allclose(*probabilities, atol=1e-6)


def test_a_device_that_is_not_there_is_refused(recipe):
    with pytest.raises(UsageError, match=r"^device must be one of auto, cpu, cuda, mps, got 'gpu'$"):
        Classifier("frozen", patience=0, device="gpu", **recipe).fit(["a", "b"], ["pro", "con"])


def test_a_frozen_encoder_needs_a_backbone_and_a_plain_head():
    line = "frozen must stand beside init.backbone and a head without head_layers, got another start or head; "
    for preset, settings in (("small", ["frozen=true"]), ("frozen", ["head_layers=[8]"])):
        with pytest.raises(ConfigError) as caught:
            config.resolve(preset, settings=settings)
        assert str(caught.value) == f"{line}hint: --preset frozen"
