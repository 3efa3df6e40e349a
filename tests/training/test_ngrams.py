"""Laws of shared n-grams: like spellings share what they learn, and nothing of it is left in what ships."""

import copy

import numpy as np
import pytest
import torch

from scriptchain import Classifier, config
from scriptchain.data.records import from_python
from scriptchain.data.tokenizer import Tokenizer
from scriptchain.model.pipeline import Network
from scriptchain.training.ngrams import Ngrams, settle, share
from scriptchain.training.seed import seeded

from ..tiny import TINY

SETTINGS = [*TINY, "tokenizer=whole", "token_ngrams=0.5"]
TEXTS = ["walking walked talk", "talking talked walk", "walking talked", "talking walked"] * 4


def made() -> tuple[Network, Tokenizer, config.Config]:
    settled = config.resolve("small", settings=SETTINGS)
    tokenizer = Tokenizer.train(
        TEXTS, kind="whole", vocab_size=300, min_frequency=2, lowercase=True, max_seq_len=16
    )  # fmt: skip
    with seeded(0):
        return Network(settled, tokenizer.vocab_size, 2), tokenizer, settled


def test_a_vector_is_its_own_and_the_sum_of_its_ngrams_over_the_root_of_their_number():
    names = ["", "", "", "", "walks", "walk", "ok"]
    ngrams = Ngrams(names, 6, 0.1)
    shared = {"<wa", "wal", "alk", "<wal", "walk", "<walk"}  # what both words hold
    assert len(ngrams.table) == len(shared)
    added = ngrams(torch.zeros(7, 6))
    assert torch.allclose(added[4], ngrams.table.sum(0) / len(shared) ** 0.5)
    assert torch.allclose(added[4], added[5])
    assert not added[[0, 1, 2, 3, 6]].any()  # specials, and a word that shares nothing
    torch.manual_seed(0)
    wide = Ngrams(names, 20_000, 0.1)(torch.zeros(7, 20_000))
    assert wide[4].std().item() == pytest.approx(0.1, rel=0.05)  # whatever the number of n-grams


def test_a_step_on_one_word_moves_the_others_of_its_stem_alone():
    network, tokenizer, settled = made()
    share(network, tokenizer, settled)
    tokens, number = network.encoder.tokens, tokenizer.vocabulary
    before = tokens.weight.detach().clone()
    spelled = {text: row for row, text in enumerate(tokenizer.spellings())}
    tokens(torch.tensor([spelled["walking"]])).sum().backward()
    with torch.no_grad():
        for parameter in tokens.parameters():
            parameter.sub_(0.1 * parameter.grad)
    moved = (tokens.weight.detach() - before).norm(dim=1)
    assert moved[spelled["walking"]] > moved[spelled["walked"]] > 0
    assert moved[spelled["talking"]] > moved[spelled["talk"]]  # -ing, and -alk
    assert moved[number["[MASK]"]] == 0


def test_what_is_settled_answers_as_before_and_has_no_ngrams():
    network, tokenizer, settled = made()
    plain = copy.deepcopy(network)
    share(network, tokenizer, settled)
    ids = torch.from_numpy(tokenizer.encode(TEXTS[:1]).ids[0])[None]
    mask = torch.ones_like(ids, dtype=torch.bool)
    wanted = network.eval()(ids, mask)
    settle(network)
    assert torch.equal(network(ids, mask), wanted)
    assert network.state_dict().keys() == plain.state_dict().keys()
    assert not torch.equal(plain.eval()(ids, mask), wanted)
    settle(plain)  # nothing to settle


def test_a_run_is_the_same_each_time_and_a_folder_like_any_other(tmp_path):
    rows = from_python(TEXTS, ["a", "b", "a", "b"] * 4)
    values = config.to_dict(config.resolve("small", settings=SETTINGS))
    models = [Classifier(**values) for _ in range(2)]
    for model in models:
        model.fit_records(rows)
    one, other = (model.network_.state_dict() for model in models)
    assert all(torch.equal(one[name], other[name]) for name in one)
    models[0].save_pretrained(tmp_path / "run")
    loaded = Classifier.from_pretrained(tmp_path / "run")
    np.testing.assert_allclose(loaded.predict_proba(TEXTS), models[0].predict_proba(TEXTS), atol=1e-5)


def test_other_weights_are_drawn_as_without_them():
    network, tokenizer, settled = made()
    plain, _, _ = made()
    with seeded(0):
        share(network, tokenizer, settled)
    for name, tensor in plain.state_dict().items():
        if name != "encoder.tokens.weight":
            assert torch.equal(network.state_dict()[name], tensor), name
    assert torch.equal(network.encoder.tokens.parametrizations.weight.original, plain.encoder.tokens.weight)
