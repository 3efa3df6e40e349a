"""Each measure on a stream or a module whose number is known, and blind to what must not move it."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from scriptchain import config
from scriptchain.lab import Batch, examine
from scriptchain.lab.branches import branches
from scriptchain.lab.collapse import collapse, residual
from scriptchain.lab.copies import likeness
from scriptchain.lab.entropy import attention, gaussian_entropy
from scriptchain.lab.gradients import projections
from scriptchain.lab.intervals import geometric, of_mean, over_texts
from scriptchain.lab.leaks import leak
from scriptchain.lab.order import relative
from scriptchain.lab.reading import reading
from scriptchain.lab.stack import Stack
from scriptchain.lab.streams import Streams, collect, permuted, places, rebatched, subset
from scriptchain.model.pipeline import Network
from scriptchain.model.trace import Trace

SEED = config.replace(config.resolve("seed"), d_model=32, num_heads=4, d_feedforward=64, num_layers=3)


def network(**changes) -> Network:
    torch.manual_seed(0)
    return Network(config.replace(SEED, **changes), 500, 4)


def texts(rows: int = 64, longest: int = 15, labels: bool = False) -> list[Batch]:
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(4, 500, (rows, longest), generator=generator)
    mask = torch.arange(longest) < torch.randint(5, longest + 1, (rows, 1), generator=generator)
    truth = torch.randint(4, (rows,), generator=generator) if labels else None
    return [
        Batch(
            ids.masked_fill(~mask, 0)[at : at + 32], mask[at : at + 32], None if truth is None else truth[at : at + 32]
        )
        for at in range(0, rows, 32)
    ]


def streams(h_NLD: torch.Tensor) -> Streams:
    texts, length, width = h_NLD.shape
    text = np.repeat(np.arange(texts), length)
    flat = h_NLD.reshape(-1, width)
    return Streams([flat, flat], text, np.tile(np.arange(length), texts), np.zeros_like(text), np.zeros((texts, 2)))


def random_streams(seed: int = 0, texts: int = 64) -> torch.Tensor:
    return torch.randn(texts, 10, 16, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# --- collapse -----------------------------------------------------------------------------------------------


def test_tokens_of_their_own_text_only_are_a_collapse():
    h = random_streams()
    alike = h.mean(1, keepdim=True) * 4 + 1e-3 * h
    found = collapse(streams(alike))[0]
    assert found.centered.high < 0.01
    assert found.cosine_within.value > 0.99
    assert abs(found.cosine_across) < 0.1


def test_a_direction_that_all_texts_share_is_no_collapse():
    """One channel of 300 makes every two tokens look alike, and what differs look small."""
    h = random_streams()
    shifted = h.clone()
    shifted[..., 3] += 300
    plain, found = collapse(streams(h))[0], collapse(streams(shifted))[0]
    assert found.residual.value < 0.05
    assert found.cosine_within.value > 0.99
    assert found.cosine_across > 0.99
    assert found.centered.value == pytest.approx(plain.centered.value, abs=1e-9)


def test_what_differs_is_the_same_for_any_scale_and_rotation():
    h = random_streams()
    turn = torch.linalg.qr(torch.randn(16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(1)))[0]
    one, other = collapse(streams(h))[0], collapse(streams(1e-6 * h @ turn))[0]
    assert other.centered.value == pytest.approx(one.centered.value, rel=1e-9)
    assert residual(h[0]) == pytest.approx(residual(1e-6 * h[0] @ turn), rel=1e-9)


# --- attention ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("positions", ["learned", "rope", "t5_bias", "shaw"])
def test_scores_read_below_the_kernel_are_those_of_the_trace(positions):
    module, batch = network(positions=positions, positions_options={}), texts()[0]
    stack, trace = Stack(module, batch, forward=lambda module, inputs, mask: module(inputs, mask)), Trace()
    with torch.no_grad():
        module.eval()(batch.inputs, batch.mask, trace)
    for number, scores in enumerate(stack.run(batch, scores=True).scores):
        weights = torch.cat([one[1] for one in scores], 1)
        wanted = trace[f"layers.{number}.attention.weights"]
        seen = batch.mask[:, None, :, None].expand_as(wanted)
        assert (weights - wanted)[seen].abs().max() < 1e-5


def test_a_fused_kernel_is_read_as_the_dense_way_is():
    module = nn.TransformerEncoder(nn.TransformerEncoderLayer(32, 4, 64, 0.0, batch_first=True), 2)
    x, mask = torch.randn(8, 12, 32), torch.arange(12) < torch.randint(5, 13, (8, 1))
    stack = Stack(module, Batch(x, mask))
    scores = stack.run(Batch(x, mask), scores=True).scores
    assert [len(one) for one in scores] == [1, 1]
    layer = module.layers[0]
    _, wanted = layer.self_attn(x, x, x, key_padding_mask=~mask, average_attn_weights=False)
    seen = mask[:, None, :, None].expand_as(wanted)
    assert (scores[0][0][1] - wanted)[seen].abs().max() < 1e-5


class OneHead(nn.Module):
    """Attention with given logits, so that its entropy is known."""

    def __init__(self, logits_LL: torch.Tensor):
        super().__init__()
        self.logits_LL = logits_LL

    def forward(self, x):
        weights = self.logits_LL.expand(len(x), 1, -1, -1).softmax(-1)
        return x + (weights @ x.unsqueeze(1)).squeeze(1)


class Given(nn.Module):
    def __init__(self, *logits_LL: torch.Tensor):
        super().__init__()
        self.layers = nn.ModuleList(OneHead(one) for one in logits_LL)

    def forward(self, inputs, mask):
        for layer in self.layers:
            inputs = layer(inputs)
        return inputs


def test_entropy_and_spread_are_those_of_the_logits():
    logits = torch.tensor([0.0, 0.0, math.log(2), math.log(4)]).repeat(4, 1)
    module, batch = Given(torch.zeros(4, 4), logits), Batch(torch.randn(8, 4, 6), torch.ones(8, 4).bool())
    uniform, other = attention(Stack(module, batch, layers="layers"), [batch])
    weights = np.array([1, 1, 2, 4]) / 8
    assert uniform.entropy.value == pytest.approx(1)
    assert uniform.spread.value == 0
    assert other.entropy.value == pytest.approx(-(weights * np.log(weights)).sum() / np.log(4))
    assert other.spread.value == pytest.approx(np.std([0, 0, math.log(2), math.log(4)]))


@pytest.mark.parametrize("column", [0, -1])
def test_mass_that_every_text_puts_on_one_end_is_a_sink(column):
    logits = torch.zeros(6, 6)
    logits[:, column] = 10.0
    middle = torch.zeros(6, 6)
    middle.fill_diagonal_(10.0)
    module, batch = Given(logits, middle), Batch(torch.randn(8, 6, 6), torch.ones(8, 6).bool())
    sink, own = attention(Stack(module, batch, layers="layers"), [batch])
    assert sink.sink.value > 0.95
    assert own.sink.value < 0.05


def test_condensed_logits_follow_the_length():
    """Twice the critical spread: known from a simulation of its own, note 1.5 of the literature."""
    assert [gaussian_entropy(keys, 2.0) for keys in (15, 128)] == pytest.approx([0.26, 0.18], abs=0.02)
    assert gaussian_entropy(15, 0.1) == pytest.approx(0.99, abs=0.01)


# --- streams, order, layers ---------------------------------------------------------------------------------


def test_words_move_and_nothing_else_does():
    batch = texts()[0]
    special = torch.zeros_like(batch.mask)
    special[:, 0] = True
    moved = permuted(Batch(batch.inputs, batch.mask, special=special), 3)
    assert (moved.inputs[:, 0] == batch.inputs[:, 0]).all()
    assert (moved.inputs[~batch.mask] == 0).all()
    assert (moved.inputs.sort(1).values == batch.inputs.sort(1).values).all()
    assert (moved.inputs != batch.inputs).any(1).all()
    assert (places(moved)[:, 0] == -1).all()
    assert (places(moved)[:, 1] == 0).all()


def test_a_distance_is_relative_to_that_of_two_texts():
    answers = np.random.default_rng(0).standard_normal((300, 4))
    assert relative(answers, answers).value == 0
    assert relative(answers, answers[::-1].copy()).value == pytest.approx(1, abs=0.15)
    assert relative(answers, 0.99 * answers).high < 0.02
    assert math.isnan(relative(np.ones((5, 3)), np.eye(5, 3)).value)


def test_without_a_layer_the_others_see_its_input():
    module, batch = network(residual="pre_norm"), texts()[0]
    stack = Stack(module, batch)
    with stack.without(1):
        skipped = stack.run(batch).streams
    torch.testing.assert_close(skipped[2], skipped[1])
    natural = stack.run(batch).streams
    assert not torch.equal(natural[2], natural[1])


def test_copies_are_found_by_their_matrices_alone():
    layers = [nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(512)) for _ in range(3)]  # gains that are all 1
    assert likeness(layers)[0] < 0.9
    layers[2].load_state_dict(layers[0].state_dict())
    assert likeness(layers) == (pytest.approx(1), (1, 3))
    assert likeness([layers[0], layers[0]])[0] == 0  # one module twice is shared, not copied


def test_the_peak_is_found_in_its_channel():
    h = random_streams()
    h[5, 2, 7] = 1_000.0
    found = branches(streams(h))[0]
    assert found.channel == 7
    centered = h - h.median(2, keepdim=True).values
    assert found.peak == pytest.approx(1_000 / float(centered.abs().median()), rel=0.01)


class Leaky(nn.Module):
    """Pads take part in the mean that every token gets."""

    def __init__(self, right: bool):
        super().__init__()
        self.right = right
        self.embedding = nn.Embedding(500, 8)
        self.layers = nn.ModuleList([nn.Identity()])

    def forward(self, inputs, mask):
        x = self.layers[0](self.embedding(inputs))
        kept = mask if self.right else torch.ones_like(mask)
        return (x * kept.unsqueeze(-1)).sum(1) / kept.sum(1, keepdim=True)


@pytest.mark.parametrize("full", [False, True])
def test_padding_that_leaks_is_found(full):
    """Also where every text is as long as the widest: then there is no room for more pads."""
    batches = [Batch(batch.inputs.clamp(min=4), torch.ones_like(batch.mask)) for batch in texts()] if full else texts()
    assert leak(Stack(Leaky(True), batches[0], layers="layers"), batches).value < 1e-6
    assert leak(Stack(Leaky(False), batches[0], layers="layers"), batches).low > 0.01


def test_projections_are_told_apart():
    packed, named = nn.Module(), nn.Module()
    packed.qkv = nn.Linear(8, 24)
    for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
        named.add_module(name, nn.Linear(8, 8))
    torch_layer = nn.MultiheadAttention(8, 2)
    for layer, weights in (
        (packed, packed.qkv.weight.chunk(3)),
        (named, [named.q_proj.weight, named.k_proj.weight, named.v_proj.weight]),
        (torch_layer, torch_layer.in_proj_weight.chunk(3)),
    ):
        (weights[0].sum() + 2 * weights[1].sum() + 3 * weights[2].sum()).backward()
        query_key, value = projections(layer)
        assert [float(part().mean()) for part in (*query_key, *value)] == [1, 2, 3]
    assert projections(nn.Linear(8, 8)) is None


# --- where position is read ---------------------------------------------------------------------------------


def test_nothing_reads_positions_that_are_not_there():
    found = reading(network(positions="none", positions_options={}), subset(texts(), 16))
    assert found.entering == 0
    assert not np.any(found.change)


def test_the_one_head_that_reads_positions_is_found():
    module = network(positions="toeplitz", positions_options={})
    for number, encoding in enumerate(module.encoder.encodings.encodings):
        table = next(encoding.parameters())
        table.data.zero_()
        if number == 1:
            row = table.data if table.shape[0] == 4 else table.data.T
            row[2] = 2 * torch.randn(row.shape[1], generator=torch.Generator().manual_seed(0))
    found = np.array(reading(module, subset(texts(), 16)).change)
    assert found[1, 2] > 0.01
    found[1, 2] = 0
    assert found.max() < 1e-6


def test_what_enters_is_read_by_every_head_and_values_stay():
    module = network(positions="learned", positions_options={"std": 1.0})
    found = reading(module, subset(texts(), 16))
    assert found.entering > 0.05
    assert np.min(found.change) > 1e-4
    before = {name: value.clone() for name, value in module.state_dict().items()}
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert type(module.encoder.encodings).__name__ == "Once"


# --- intervals ----------------------------------------------------------------------------------------------


def test_intervals_hold_the_truth():
    rng = np.random.default_rng(0)
    held = sum(low < 0 < high for low, high in ((one.low, one.high) for one in (
        of_mean(rng.standard_normal(40)) for _ in range(300))))  # fmt: skip
    assert held > 290
    held = 0
    for _ in range(200):
        measured = geometric(np.exp(rng.standard_normal(8)))
        held += measured.low < 1 < measured.high
    assert held > 190
    values = rng.standard_normal(50)
    found = over_texts(lambda weights: weights @ values / weights.sum(1), 50)
    assert found.high - found.low == pytest.approx(6 * values.std(ddof=1) / math.sqrt(50), rel=0.15)


# --- the examination ----------------------------------------------------------------------------------------


def test_an_examination_changes_nothing_and_repeats_itself():
    module, batches = network(), texts(labels=True)
    module.train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    random = torch.get_rng_state()
    one, other = (examine(module, batches, seed=3).to_dict() for _ in range(2))
    assert str(one["verdicts"]) == str(other["verdicts"])
    assert str(one["layers"]) == str(other["layers"])
    assert module.training
    assert all(part.training for part in module.modules())
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert all(parameter.grad is None for parameter in module.parameters())
    assert torch.equal(random, torch.get_rng_state())


def test_batches_may_come_in_the_usual_forms():
    module, batches = network(), texts(labels=True)
    forms = [
        [(one.inputs, one.mask, one.labels) for one in batches],
        [{"input_ids": one.inputs, "attention_mask": one.mask.long(), "labels": one.labels} for one in batches],
    ]
    wanted = str(examine(module, batches)["verdicts"])
    assert all(str(examine(module, form)["verdicts"]) == wanted for form in forms)


def test_smaller_batches_hold_the_same_texts():
    batches = texts()
    again = rebatched(batches, 10)
    assert torch.equal(torch.cat([one.inputs for one in again]), torch.cat([one.inputs for one in batches]))
    assert max(len(one.mask) for one in again) <= 10
    stack = Stack(network(), batches[0])
    one, other = collect(stack, batches), collect(stack, again)
    torch.testing.assert_close(one.layers[2], other.layers[2], atol=1e-5, rtol=1e-4)


def test_every_verdict_carries_its_evidence():
    data = examine(network(), texts(), weights="initial").to_dict()
    for name, verdict in data["verdicts"].items():
        assert verdict["state"] in ("HOLDS", "DOES NOT HOLD", "UNDECIDED"), name
        assert {"value", "low", "high", "threshold", "source"} <= set(verdict)
        assert verdict["state"] == "UNDECIDED" or verdict["low"] <= verdict["value"] <= verdict["high"]
    assert [row["layer"] for row in data["layers"]] == [0, 1, 2, 3]
