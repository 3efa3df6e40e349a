"""Laws of a start from static vectors: what a token begins as, which words are kept in reserve, what does not fit."""

import json
from pathlib import Path

import numpy as np
import pytest
import tokenizers
import torch
from safetensors.numpy import save_file
from tokenizers import models, pre_tokenizers

from scriptchain import Classifier, config
from scriptchain.model.pipeline import Network
from scriptchain.training.start import start_of

from ..refusals import refusal

THEIRS = ["<unk>", "the", "food", "wine", "good", "bad", "castle", "x", "castle-like", "Tower"]
VECTORS = np.random.default_rng(0).normal(size=(len(THEIRS), 12)).astype(np.float32)
TEXTS = ["the food was good", "the wine was bad", "the good wine and the bad food"]
SMALL = {"d_model": 8, "num_heads": 2, "num_layers": 1, "d_feedforward": 16, "max_seq_len": 16, "vocab_size": 300,
         "min_frequency": 1, "embedding_std": 0.2, "patience": 0}  # fmt: skip


def saved(folder: Path, vectors=VECTORS, **tensors) -> Path:
    folder.mkdir(exist_ok=True)
    made = tokenizers.Tokenizer(models.WordLevel({word: row for row, word in enumerate(THEIRS)}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.enable_truncation(2)
    (folder / "tokenizer.json").write_text(made.to_str(), encoding="utf-8")
    save_file({"embeddings": vectors, **tensors}, folder / "model.safetensors")
    return folder


def filled(folder: Path, **changes):
    made = config.resolve("static", overrides=SMALL | {"init": {"embeddings": str(folder)}} | changes)
    start = start_of(made)
    tokenizer = start.tokenizer(TEXTS)
    torch.manual_seed(0)
    network = Network(made, tokenizer.vocab_size, 2)
    drawn = network.encoder.tokens.weight.detach().clone()
    start.fill(network, tokenizer)
    return tokenizer, network.encoder.tokens.weight.detach(), drawn


def direction(vector) -> np.ndarray:
    return np.asarray(vector) / np.linalg.norm(vector)


@pytest.mark.parametrize("kind", ["word", "whole", "bpe"])
def test_a_token_begins_as_the_mean_of_its_pieces_and_all_at_one_scale(kind, tmp_path):
    tokenizer, weights, drawn = filled(saved(tmp_path / "vectors"), tokenizer=kind)
    centered = VECTORS[:, :8] - VECTORS[:, :8].mean(0)
    mark = "" if kind == "word" else "Ġ"
    rows = []
    for word in ("food", "wine", "good", "bad"):
        number = tokenizer.vocabulary[mark + word]
        np.testing.assert_allclose(direction(weights[number]), direction(centered[THEIRS.index(word)]), atol=1e-5)
        rows.append(number)
    unknown = tokenizer.vocabulary[mark + "was"]  # not one piece of it is theirs
    assert torch.equal(weights[[0, 1, 2, 3, unknown]], drawn[[0, 1, 2, 3, unknown]])
    changed = (weights != drawn).any(1)
    assert float(weights[changed].std(correction=0)) == pytest.approx(0.2, rel=1e-3)
    sizes = [float(weights[row].norm() / np.linalg.norm(centered[THEIRS.index(word)]))
             for row, word in zip(rows, ("food", "wine", "good", "bad"), strict=True)]  # fmt: skip
    assert sizes == pytest.approx([sizes[0]] * 4, rel=1e-4)


def test_words_in_reserve_are_known_without_having_been_seen(tmp_path):
    tokenizer, weights, _ = filled(saved(tmp_path / "vectors"))
    assert tokenizer.tokens(tokenizer.encode(["the castle tower"]).ids[0].tolist()) == ["Ġthe", "Ġcastle", "Ġtower"]
    centered = VECTORS[:, :8] - VECTORS[:, :8].mean(0)
    row = weights[tokenizer.vocabulary["Ġcastle"]]
    np.testing.assert_allclose(direction(row), direction(centered[THEIRS.index("castle")]), atol=1e-5)
    assert not {"Ġx", "Ġcastle-like"} & set(tokenizer.vocabulary)  # no word, or not one


def test_a_reserve_changes_no_number_and_stays_in_its_bounds(tmp_path):
    folder = saved(tmp_path / "vectors")
    with_reserve, _, _ = filled(folder)
    plain = config.resolve("small", overrides=SMALL)
    without = start_of(plain).tokenizer(TEXTS)
    assert without.vocabulary.items() < with_reserve.vocabulary.items()
    words = filled(folder, tokenizer="word")[0].vocab_size
    for size in (300, 301, words + 300):
        assert filled(folder, vocab_size=size)[0].vocab_size <= size
    pair = [[ids.tolist() for ids in one.encode(TEXTS).ids] for one in (without, with_reserve)]
    assert pair[0] == pair[1]


def test_shared_rows_and_weights_of_tokens_are_those_of_model2vec(tmp_path):
    mapping = np.arange(len(THEIRS))[::-1].copy()
    weights = np.linspace(0.5, 2, len(THEIRS))
    shared = saved(tmp_path / "shared", VECTORS[::-1].copy(), mapping=mapping, weights=weights)
    plain = saved(tmp_path / "plain", (VECTORS * weights[:, None]).astype(np.float32))
    np.testing.assert_allclose(filled(shared)[1], filled(plain)[1], atol=1e-6)


def test_a_run_from_static_vectors_answers_when_the_vectors_are_gone(tmp_path):
    folder = saved(tmp_path / "vectors")
    labels = ["pro", "con", "pro"]
    model = Classifier("static", **SMALL, init={"embeddings": str(folder)}, epochs=2).fit(TEXTS, labels)
    model.save_pretrained(tmp_path / "run")
    for file in folder.iterdir():
        file.unlink()
    loaded = Classifier.from_pretrained(tmp_path / "run")
    texts = [*TEXTS, "a castle"]
    np.testing.assert_allclose(loaded.predict_proba(texts), model.predict_proba(texts), atol=1e-5)


# --- what does not fit ---------------------------------------------------------------------------------------


def refused(folder: Path, capsys, *settings: str) -> tuple[int, str]:
    all_settings = [f"{key}={value}" for key, value in SMALL.items()] + [f"init.embeddings={folder}", *settings]
    words = [word for setting in all_settings for word in ("--set", setting)]
    code, line = refusal(folder.parent, capsys, "train", "emotions", "--preset", "static", "--quiet", "--output",
                         folder.parent / "run", *words)  # fmt: skip
    return code, line.replace(str(folder), "VECTORS")


def test_vectors_that_are_too_narrow_are_refused(tmp_path, capsys):
    assert refused(saved(tmp_path / "vectors"), capsys, "d_model=14") == (
        2, "d_model must be at most 12, as init.embeddings 'VECTORS' has, got 14; hint: --set d_model=12"
    )  # fmt: skip


def test_another_number_of_vectors_than_tokens_is_refused(tmp_path, capsys):
    assert refused(saved(tmp_path / "vectors", VECTORS[:-1]), capsys) == (
        4, "init.embeddings 'VECTORS' must have a vector a token, 10, got 9"
    )  # fmt: skip


def test_two_tables_or_none_are_refused(tmp_path, capsys):
    folder = saved(tmp_path / "vectors", other=VECTORS)
    assert refused(folder, capsys) == (4, "init.embeddings 'VECTORS' must hold one table of vectors, got 2")


def test_a_tokenizer_that_is_none_is_refused(tmp_path, capsys):
    folder = saved(tmp_path / "vectors")
    (folder / "tokenizer.json").write_text(json.dumps({"model": {"type": "Magic", "vocab": {"a": 0}}}))
    code, line = refused(folder, capsys)
    assert code == 4
    assert line.startswith("init.embeddings 'VECTORS' must have a tokenizer that loads (")


def test_a_package_that_is_not_there_is_named_with_what_to_type(tmp_path, capsys):
    code, line = refusal(tmp_path, capsys, "train", "emotions", "--preset", "static", "--quiet", "--output",
                         tmp_path / "run", "--set", "init.embeddings=no-such-vectors")  # fmt: skip
    assert (code, line) == (
        2,
        "init.embeddings must be a folder, an installed package or hf:OWNER/NAME, got 'no-such-vectors'; "
        "hint: pip install --no-deps wordllama",
    )
