"""Laws of every remedy for depth: it draws nothing, learns and is counted, needs no padding, and exports."""

import numpy as np
import pytest
import torch

from scriptchain.config import make, replace, resolve
from scriptchain.export.onnx import to_onnx
from scriptchain.model.pipeline import Network, torch_logits
from scriptchain.model.residual import RESIDUALS
from scriptchain.positions import Positions
from scriptchain.runtime.session import session_logits
from scriptchain.training.estimate import memory_bytes
from scriptchain.training.loop import Examples, fit
from scriptchain.training.optimizer import make_optimizer
from scriptchain.training.seed import seeded

from ..export.test_onnx import TEXTS, built
from ..positions.rows import CLASSES, SAME, SMALL, VOCAB, difference, padding, perturbed, scatter, texts
from .remedies import REMEDIES

BASE = {**SMALL, "num_layers": 3, "positions": "learned"}
each = pytest.mark.parametrize("changes", REMEDIES.values(), ids=REMEDIES)


def fresh(**changes) -> Network:
    with seeded(0):
        return Network(make({**BASE, **changes}), VOCAB, CLASSES)


@each
def test_a_remedy_draws_nothing(changes):
    """All other numbers are those of the network without it; deep_norm alone scales some."""
    plain, cured = fresh().state_dict(), fresh(**changes).state_dict()
    for name in plain.keys() & cured.keys():
        ratio = cured[name].flatten() / plain[name].flatten()
        ratio = ratio[ratio.isfinite()]
        assert (ratio == 1).all() or (changes.get("residual") == "deep_norm" and (ratio <= 1).all()), name
    lost = {name.rsplit(".", 2)[-2] for name in plain.keys() - cured.keys()}
    assert lost <= {"norm", "final_norm"}


def num_parameters(changes, depth: int = 3, width: int = 8, heads: int = 2) -> int:
    """What a remedy adds to a stack of pre-norm, by hand."""
    more = {
        "deep_norm": -2 * width,  # no norm behind the last layer
        "rezero": 2 * depth - 4 * depth * width,  # a gate for each norm
        "branch_scale": 0,
        "layer_scale": 2 * depth * width,
        "stochastic_depth": 0,
        "qk_norm": 2 * depth * width // heads,
        "positions_reinjected": (depth - 1) * (2 * width + 1),
    }
    more["together"] = sum(more[name] for name in ("layer_scale", "qk_norm", "positions_reinjected")) - 2 * width
    return more[next(name for name, value in REMEDIES.items() if value == changes)]


@each
def test_parameters_are_counted(changes):
    plain, cured = (sum(value.numel() for value in fresh(**more).parameters()) for more in ({}, changes))
    assert cured - plain == num_parameters(changes)
    small = make({**BASE, "max_seq_len": 12})
    estimated = memory_bytes(replace(small, **changes), VOCAB, CLASSES) - memory_bytes(small, VOCAB, CLASSES)
    ends_normed = RESIDUALS[changes.get("residual", "pre_norm")].normed_output
    assert estimated == 20 * (num_parameters(changes) + 2 * 8 * ends_normed)  # it leaves out the norm at the end


@each
def test_every_parameter_learns_and_gains_never_decay(changes):
    network = perturbed(fresh(**changes))
    mask = padding((12, 6), 12, "left")
    torch.nn.functional.cross_entropy(network(scatter(texts(12, 6), mask), mask), torch.tensor([0, 1])).backward()
    silent = [name for name, value in network.named_parameters() if value.grad is None or not value.grad.any()]
    assert not silent
    decayed = {
        id(value)
        for group in make_optimizer(network, make({**BASE, "weight_decay": 0.1})).param_groups
        if group["weight_decay"]
        for value in group["params"]
    }
    gains = {name for name, value in network.named_parameters() if name.endswith((".gain", ".gate", "norm.weight"))}
    assert not [name for name, value in network.named_parameters() if name in gains and id(value) in decayed]


@each
def test_packed_texts_answer_as_padded_ones(changes):
    network = perturbed(fresh(**changes))
    ids, mask = texts(4, 1, 7), padding((4, 1, 7), 9, "left")
    packed = Positions.from_packed(torch.arange(3).repeat_interleave(torch.tensor([4, 1, 7])))
    with torch.no_grad():
        padded = network.classify(scatter(ids, mask), Positions.from_mask(mask))
        assert difference(network.classify(torch.cat(ids), packed), padded) < SAME


@each
def test_an_exported_network_answers_as_the_trained_one(changes):
    network, tokenizer = built({"num_layers": 3, **changes})
    perturbed(network)
    ours, theirs = torch_logits(network, tokenizer), session_logits(to_onnx(network, tokenizer), tokenizer, threads=1)
    for rows in (TEXTS, TEXTS[:1], TEXTS[2:3]):
        np.testing.assert_allclose(theirs(rows), ours(rows), atol=1e-5)


@each
def test_it_acts(changes):
    """In training for what acts there alone; at parameters where nothing starts at zero."""
    mask = padding((3, 6), 7, "left")
    ids = scatter(texts(3, 6), mask)
    plain, cured = (perturbed(fresh(dropout=0.0, **more)).train() for more in ({}, changes))
    cured.load_state_dict(plain.state_dict(), strict=False)
    with seeded(0):
        assert difference(plain(ids, mask), cured(ids, mask)) > 1e-3


# Losses of three epochs on random texts, computed as before there was any remedy, with all pads and PyTorch's kernels.
BEFORE = {
    "seed": [1.13066666, 1.09690969, 1.07174764],
    "small": [1.15341243, 0.86793188, 0.77097065],
}


@pytest.mark.parametrize("preset", BEFORE)
def test_switched_off_the_remedies_change_nothing(preset):
    shape = {"d_model": 32, "d_feedforward": 64, "epochs": 3, "batch_size": 8, "dropout": 0.0}
    config = resolve(preset, overrides=shape)
    rng = np.random.default_rng(0)
    ids = [rng.integers(5, 60, rng.integers(2, config.max_seq_len)) for _ in range(40)]
    rows = Examples(ids, np.arange(40) % 3, np.ones(40, np.float32))
    with seeded(config.seed):
        history = fit(Network(config, 60, 3), rows, config, device="cpu", validation=rows).history
    assert [record["loss"] for record in history] == pytest.approx(BEFORE[preset], rel=1e-6)
