"""Laws of masked-token training: what is hidden is scored and no more, texts without labels teach, nothing is lost."""

import io
import json
import os
import signal

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from scriptchain import Classifier, UsageError, config
from scriptchain.__main__ import run
from scriptchain.data.batches import Batch, pad
from scriptchain.data.records import from_python, read
from scriptchain.data.tokenizer import MASK, SPECIAL, Tokenizer
from scriptchain.errors import Interrupted
from scriptchain.export.card import _taught
from scriptchain.model.pipeline import Network
from scriptchain.run import make_splits, train
from scriptchain.training.loop import accelerator_for
from scriptchain.training.masked import MaskedModel, MaskedTexts, read_first
from scriptchain.training.seed import seeded

from ..refusals import refusal
from ..tiny import TINY

# Each first word has its second: what is hidden can be known from what is not.
PAIRS = [f"{one} {other}" for one, other in zip("abcdefgh", "stuvwxyz", strict=True)] * 16
OVERRIDES = dict(item.split("=") for item in TINY) | {"masked_epochs": "2"}
OVERRIDES = {key: int(value) if value.isdigit() else value for key, value in OVERRIDES.items()}


def made(**changes) -> tuple[Network, Tokenizer, config.Config]:
    settled = config.resolve("small", overrides=OVERRIDES | {"tokenizer": "word"} | changes)
    tokenizer = Tokenizer.train(PAIRS, kind="word", vocab_size=300, min_frequency=1, lowercase=True, max_seq_len=16)
    with seeded(0):
        return Network(settled, tokenizer.vocab_size, 2), tokenizer, settled


def test_the_loss_is_that_of_the_hidden_tokens_alone():
    network, tokenizer, settled = made(dropout=0.0)
    ids = tokenizer.encode(["a s b t", "c u"]).ids
    batch, accelerator = Batch(*pad(ids), np.arange(2)), accelerator_for("cpu", "fp32")
    model = MaskedModel(network.encoder, settled)
    seen = []
    model.register_forward_pre_hook(lambda _, inputs: seen.append(inputs))
    for seed in range(20):
        torch.manual_seed(seed)
        loss, right, _ = MaskedTexts(ids, len(SPECIAL)).loss(model, batch, settled, accelerator)
        shown, mask, hidden = seen[-1]
        told = torch.from_numpy(batch.ids)
        assert (shown[hidden] == MASK).all()
        assert torch.equal(shown[~hidden], told[~hidden])
        assert not hidden[~mask].any()
        if hidden.any():
            logits = model(shown, mask, hidden)
            assert loss.item() == pytest.approx(cross_entropy(logits, told[hidden]).item())
            assert right == pytest.approx(2 * (logits.argmax(1) == told[hidden]).float().mean().item())
        else:
            assert (loss.item(), right) == (0.0, 0.0)
    assert 0 < np.mean([inputs[2].any().item() for inputs in seen]) < 1


def test_special_tokens_are_never_hidden():
    network, _, settled = made(dropout=0.0)
    ids = [np.arange(len(SPECIAL))] * 200
    model = MaskedModel(network.encoder, settled)
    loss, *_ = MaskedTexts(ids, len(SPECIAL)).loss(
        model, Batch(*pad(ids), np.arange(200)), settled, accelerator_for("cpu", "fp32")
    )
    assert loss.item() == 0.0


def test_what_goes_together_is_learned():
    network, tokenizer, settled = made(dropout=0.0, masked_epochs=40, learning_rate=1e-2)
    head = [parameter.clone() for parameter in network.head.parameters()]
    with seeded(0):
        outcome = read_first(network.encoder, tokenizer, PAIRS, settled, device="cpu")
    losses = [record["loss"] for record in outcome.history]
    assert losses[0] > np.log(8)  # any of eight words
    assert losses[-1] < np.log(2)  # surer than between two
    assert outcome.history[-1]["accuracy"] > 0.8
    assert all(torch.equal(one, other) for one, other in zip(head, network.head.parameters(), strict=True))


def test_words_of_unlabelled_texts_are_known_and_teach_the_encoder():
    labelled = from_python(["good day", "bad day"] * 8, ["yes", "no"] * 8)
    values = OVERRIDES | {"tokenizer": "word", "min_frequency": 1, "epochs": 1}
    models = [Classifier("small", **values | {"masked_epochs": epochs}) for epochs in (1, 2, 2)]
    for model in models:
        model.fit_records(labelled, unlabelled=["splendid night"] * 16)
    plain, one, again = (model.predict_proba(["a good day", "splendid night"]) for model in models)
    assert np.array_equal(one, again)
    assert np.abs(one - plain).max() > 1e-4
    known = [model.predict_proba(["splendid", "night", "unheard"]) for model in models]
    assert all(len(np.unique(rows, axis=0)) == 3 for rows in known)  # two words, and one that is [UNK]


def test_the_texts_to_train_on_are_read_first_too(tmp_path, capsys):
    settings = [word for setting in TINY for word in ("--set", setting)]
    command = ["train", "emotions", *settings, "--set", "masked_epochs=1", "--output", str(tmp_path / "run")]
    assert run(command) == 0
    assert "the hidden tokens of 80 texts are learned first\n" in capsys.readouterr().err
    assert json.loads((tmp_path / "run" / "report.json").read_text("utf-8"))["masked"] == {"unlabelled": 0}


def test_a_student_may_read_them_first(tmp_path):
    class Rule:
        classes_ = ("no", "yes")

        def predict_proba(self, texts):
            return np.array([[0.1, 0.9] if "good" in text else [0.8, 0.2] for text in texts])

    labelled, more = (["good day", "bad day"] * 8, ["yes", "no"] * 8), ["good night", "a night"] * 8
    values = OVERRIDES | {"tokenizer": "word", "min_frequency": 1, "epochs": 1, "patience": 0}
    models = [Classifier("small", **values | {"masked_epochs": epochs}) for epochs in (0, 2)]
    plain, first = (model.fit(*labelled, teacher=Rule(), unlabelled=more).logits(["a good day"]) for model in models)
    assert np.abs(first - plain).max() > 1e-4
    assert _taught({"masked": {"unlabelled": 16}, "distilled": {"unlabelled": 16}}) == (
        ", on hidden tokens first, those of 16 unlabelled texts too"
        ", on the answers of a teacher, to 16 unlabelled texts too"
    )


def test_texts_that_nobody_asked_to_be_learned_are_refused(tmp_path, capsys):
    more = tmp_path / "more.txt"
    more.write_text("one text\n", encoding="utf-8")
    line = "unlabelled texts must have a teacher or masked_epochs, got neither"
    line += "; hint: --teacher DIR, or --set masked_epochs=3"
    assert refusal(
        tmp_path, capsys, "train", "emotions", "--unlabelled", more, "--quiet", "--output", tmp_path / "run"
    ) == (2, line)


def test_a_linear_model_has_no_use_for_them():
    with pytest.raises(UsageError) as caught:
        Classifier("linear", patience=0).fit(["a", "b"], ["yes", "no"], unlabelled=["c"])
    assert str(caught.value) == "unlabelled texts must be read by an encoder, got a linear model; hint: --preset small"


def test_a_run_says_how_many_and_leaves_out_those_of_the_test(tmp_path, capsys):
    splits = make_splits(read("emotions"), None, None, 0)
    more, output = tmp_path / "more.csv", tmp_path / "run"
    more.write_text(f'text\n"{splits.test.texts[0].upper()}"\nsomething else\n', encoding="utf-8")
    settings = [word for setting in TINY for word in ("--set", setting)]
    settings += ["--set", "masked_epochs=1"]
    assert run(["train", "emotions", "--unlabelled", str(more), "--output", str(output), *settings]) == 0
    err = capsys.readouterr().err
    assert "1 unlabelled texts are left out: they stand in validation or test\n" in err
    assert "the hidden tokens of 81 texts are learned first\n" in err
    assert json.loads((output / "report.json").read_text("utf-8"))["masked"] == {"unlabelled": 1}
    assert "on hidden tokens first, those of 1 unlabelled texts too" in (output / "README.md").read_text("utf-8")


class Kills(io.StringIO):
    """Ends the process's training behind that epoch of masked tokens, or of labels."""

    def __init__(self, masked: bool):
        super().__init__()
        self.met, self.masked = 0, masked

    def write(self, text: str) -> int:
        if text.startswith("epoch 1/"):
            self.met += 1
            if self.met == (1 if self.masked else 2):
                os.kill(os.getpid(), signal.SIGTERM)
        return super().write(text)


@pytest.fixture(scope="module")
def job() -> tuple:
    return read("emotions"), config.resolve("small", overrides=OVERRIDES), from_python([*PAIRS, *PAIRS])


@pytest.fixture(scope="module")
def unbroken(job, tmp_path_factory) -> bytes:
    folder = tmp_path_factory.mktemp("unbroken") / "run"
    train(job[0], job[1], folder, unlabelled=job[2], device="cpu")
    return (folder / "model.safetensors").read_bytes()


@pytest.mark.parametrize("masked", [True, False], ids=["at hidden tokens", "at labels"])
def test_a_run_that_was_stopped_goes_on_to_the_same_bytes(masked, job, unbroken, tmp_path):
    labelled, settled, more = job
    with pytest.raises(Interrupted):
        train(labelled, settled, tmp_path / "run", unlabelled=more, device="cpu", stream=Kills(masked))
    with pytest.raises(UsageError, match="must be free, got an unfinished run"):
        train(labelled, settled, tmp_path / "run", unlabelled=more, device="cpu")
    if masked:  # an end without an epoch of labels is no end, and spoils nothing
        with pytest.raises(UsageError, match="--finish needs an epoch that was finished, got a run at step 0"):
            train(labelled, settled, tmp_path / "run", unlabelled=more, device="cpu", resume=True, finish=True)
    told = io.StringIO()
    train(labelled, settled, tmp_path / "run", unlabelled=more, device="cpu", resume=True, stream=told)
    assert told.getvalue().count("goes on behind step") == 1
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == unbroken
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
