"""Folders of another library: what is measured on them is what that library computes; nothing leaves the machine."""

import json
import os
import socket

import pytest
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from scriptchain.errors import ModelError
from scriptchain.lab import examine
from scriptchain.lab.hugging_face import batches, is_folder, load
from scriptchain.lab.stack import Stack

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *(f"w{number}" for number in range(196))]
SIZE = {
    "vocab_size": 200, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 64,
    "max_position_embeddings": 40, "pad_token_id": 0,
}  # fmt: skip
KINDS = {
    "bert": transformers.BertConfig, "roberta": transformers.RobertaConfig, "electra": transformers.ElectraConfig,
    "modernbert": transformers.ModernBertConfig, "deberta": transformers.DebertaV2Config,
}  # fmt: skip


def texts(rows: int = 48) -> list[str]:
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(4, 15, (rows,), generator=generator).tolist()
    return [
        " ".join(f"w{n}" for n in torch.randint(196, (length,), generator=generator).tolist()) for length in lengths
    ]


def write(folder, kind: str = "bert", classifier: bool = False, **changes):
    """A tiny model with random weights, saved as that library saves."""
    config = KINDS[kind](**{**SIZE, **changes})
    for name, number in (("cls_token_id", 2), ("sep_token_id", 3), ("bos_token_id", 2), ("eos_token_id", 3)):
        if hasattr(config, name):
            setattr(config, name, number)
    torch.manual_seed(1)
    auto = transformers.AutoModelForSequenceClassification if classifier else transformers.AutoModel
    auto.from_config(config).save_pretrained(folder)
    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return write(tmp_path_factory.mktemp("bert"))


def test_batches_are_the_tokenizers_with_what_stands_outside_the_order(bert):
    rows = texts()
    found = batches(bert, rows, batch_size=16)
    assert sum(len(batch.mask) for batch in found) == len(rows)
    seen = sorted(" ".join(WORDS[token] for token in ids[mask].tolist()[1:-1]) for batch in found
                  for ids, mask in zip(batch.inputs, batch.mask, strict=True))  # fmt: skip
    assert seen == sorted(rows)
    for batch in found:
        assert (batch.special == ((batch.inputs == 2) | (batch.inputs == 3))).all()
        assert (batch.inputs[~batch.mask] == 0).all()
    assert max(batch.mask.shape[1] for batch in batches(bert, rows, max_tokens=6)) == 6


def test_streams_and_weights_are_the_librarys_own(bert):
    batch, model = batches(bert, texts())[0], load(bert)
    stack = Stack(model, batch)
    assert stack.names == [f"encoder.layer.{number}" for number in range(3)]
    seen = stack.run(batch, scores=True)
    eager = transformers.AutoModel.from_pretrained(bert, attn_implementation="eager").eval()
    with torch.no_grad():
        wanted = eager(batch.inputs, batch.mask.long(), output_hidden_states=True, output_attentions=True)
    for stream, other in zip(seen.streams, wanted.hidden_states, strict=True):
        assert (stream - other)[batch.mask].abs().max() < 1e-5
    rows = batch.mask[:, None, :, None]
    for scores, other in zip(seen.scores, wanted.attentions, strict=True):
        assert ((torch.cat([one[1] for one in scores], 1) - other) * rows).abs().max() < 1e-5


@pytest.mark.parametrize("kind", KINDS)
def test_every_architecture_is_examined(kind, tmp_path):
    folder = write(tmp_path, kind)
    found = examine(load(folder), batches(folder, texts()), weights="initial")
    assert len(found["stack"]) == 3
    verdicts = found["verdicts"]
    assert verdicts["padding_leak"]["state"] == "DOES NOT HOLD"
    assert verdicts["query_key_starvation"]["state"] != "UNDECIDED"
    assert verdicts["entropy_collapse"]["state"] == "DOES NOT HOLD"
    assert all("entropy" in row for row in found["layers"][1:])


def test_initial_weights_are_drawn_by_the_seed(bert):
    one, again, other, trained = (
        load(bert, initial=initial, seed=seed).state_dict()["encoder.layer.0.attention.self.query.weight"]
        for initial, seed in ((True, 0), (True, 0), (True, 1), (False, 0))
    )
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert not torch.equal(one, trained)


def test_a_classifier_keeps_its_head_and_half_weights_become_whole(tmp_path):
    folder = write(tmp_path, classifier=True, num_labels=3)
    transformers.AutoModelForSequenceClassification.from_pretrained(folder).bfloat16().save_pretrained(folder)
    model, batch = load(folder), batches(folder, texts())[0]
    assert Stack(model, batch).answers(batch).shape[1] == 3
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_no_network_is_touched_and_nothing_is_printed(bert, monkeypatch, capfd):
    def refuse(*_):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    load(bert)
    load(bert, initial=True)
    assert "HF_HUB_OFFLINE" not in os.environ
    assert capfd.readouterr() == ("", "")


def test_folders_are_told_apart(bert, tiny_run, tmp_path):
    assert is_folder(bert)
    assert not is_folder(tiny_run)
    assert not is_folder(tmp_path)
    (tmp_path / "config.json").write_text("[1]", "utf-8")
    assert not is_folder(tmp_path)


def test_what_cannot_be_loaded_is_said_in_one_line(tmp_path):
    folder = write(tmp_path)
    weights, tokens = folder / "model.safetensors", folder / "tokenizer.json"
    document = json.loads((folder / "config.json").read_text("utf-8"))

    content = weights.read_bytes()
    weights.write_bytes(content[:100])
    with pytest.raises(ModelError, match="must be a folder that transformers can load"):
        load(folder)
    weights.unlink()
    (folder / "pytorch_model.bin").write_bytes(b"a pickle")
    with pytest.raises(ModelError, match="must hold its weights as safetensors, got none"):
        load(folder)
    tokens.unlink()
    with pytest.raises(ModelError, match=r"tokenizer\.json must be a tokenizer file"):
        batches(folder, ["w1"])
    (folder / "config.json").write_text(json.dumps(document | {"is_encoder_decoder": True}), "utf-8")
    weights.write_bytes(content)
    with pytest.raises(ModelError, match="must hold one stack of layers, got an encoder with a decoder"):
        load(folder)


def test_the_command_takes_such_a_folder(bert, command, tmp_path):
    data = tmp_path / "texts.csv"
    data.write_text("text\n" + "\n".join(texts()) + "\n", "utf-8")
    result = command("diagnose", bert, "--data", data, "--json", "--quiet")
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    found = json.loads(result.stdout)
    assert (found["weights"], found["initial"]["weights"]) == ("trained", "initial")
    assert "map" not in found
