"""What theory says of a stack, found by the lab's own measures: each number is known without the lab."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from scriptchain import config
from scriptchain.lab import Batch, examine
from scriptchain.lab.collapse import residual
from scriptchain.lab.gradients import gradients
from scriptchain.lab.order import answers
from scriptchain.lab.places import places_by_layer
from scriptchain.lab.stack import Stack
from scriptchain.lab.streams import permuted
from scriptchain.model.block import Block
from scriptchain.model.initialise import initialise
from scriptchain.model.pipeline import Network
from scriptchain.positions import Positions
from scriptchain.positions.none import NoPositions

SEED = config.resolve("seed")
VOCABULARY = 2_000  # a class a word: with few classes all tokens pull one way, which is another regime


def attention(x_LD: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """One head of pure self-attention: no skip, no norm."""
    width = x_LD.shape[1]
    q, k, v = (torch.randn(width, width, generator=generator, dtype=x_LD.dtype) / width**0.5 for _ in range(3))
    return ((x_LD @ q) @ (x_LD @ k).T / width**0.5).softmax(-1) @ x_LD @ v


def test_what_differs_shrinks_by_its_cube_in_pure_attention():
    """arXiv 2103.03404: near one common token, a layer of attention leaves the third power of what differs."""
    generator = torch.Generator().manual_seed(0)
    common, apart = torch.randn(1, 64, generator=generator).double(), torch.randn(15, 64, generator=generator).double()
    sizes = [0.03, 0.015, 0.0075]
    left = [residual(attention(common + size * apart, torch.Generator().manual_seed(1))) for size in sizes]
    slopes = np.diff(np.log(left)) / np.diff(np.log(sizes))
    assert slopes == pytest.approx([3.0, 3.0], abs=0.02)


def test_pure_attention_collapses_at_a_rate_that_triples():
    """Successive logarithms of what differs near the ratio 3 from above, until float64 ends: doubly exponential."""
    generator, x = torch.Generator().manual_seed(0), torch.randn(15, 128, generator=torch.Generator().manual_seed(1))
    x, logs = x.double(), []
    for _ in range(4):
        x = nn.functional.layer_norm(attention(x, generator), (128,))
        logs.append(-math.log(residual(x)))
    ratios = np.array(logs[1:]) / np.array(logs[:-1])
    assert (np.diff(ratios) < 0).all()
    assert ratios[-1] == pytest.approx(3.0, abs=0.15)
    assert residual(x) < 1e-8


class Tokens(nn.Module):
    """Blocks of ours over given vectors, as in the theorems: no embedding, an answer a token."""

    def __init__(self, residual: str, num_layers: int):
        super().__init__()
        shaped = config.replace(SEED, residual=residual, num_layers=num_layers, dropout=0.0)
        self.layers = nn.ModuleList(Block(shaped) for _ in range(num_layers))
        self.norm = nn.LayerNorm(128) if residual == "pre_norm" else nn.Identity()
        self.head = nn.Linear(128, VOCABULARY)
        self.nothing = NoPositions(_size())
        initialise(self, shaped)

    def forward(self, x, mask):
        p = Positions.from_mask(mask)
        for layer in self.layers:
            x = layer(x, p, self.nothing)
        return self.head(self.norm(x))


def _size():
    from scriptchain.positions import Size

    return Size(128, 8, 1, 15)


def last_slope(residual: str) -> tuple[float, float, float]:
    """Of ln of the gradient of the last feed-forward matrix against ln of the depth: value and 95 % interval."""
    from scipy.stats import linregress, t

    depths, norms = [], []
    for depth in (3, 6, 12, 24):
        for seed in range(6):
            torch.manual_seed(seed)
            module = Tokens(residual, depth)
            x, mask = torch.randn(32, 15, 128), torch.ones(32, 15, dtype=torch.bool)
            logits = module(x, mask)
            cross_entropy(logits.flatten(0, 1), torch.randint(VOCABULARY, (32 * 15,))).backward()
            last = module.layers[-1].feedforward.output.weight.grad
            depths.append(math.log(depth))
            norms.append(math.log(float(last.norm())))
    fit = linregress(depths, norms)
    half = float(t.ppf(0.975, len(depths) - 2) * fit.stderr)
    return fit.slope, fit.slope - half, fit.slope + half


def test_the_last_gradient_of_pre_norm_falls_with_the_root_of_depth():
    """arXiv 2002.04745, theorem 1, where branches are as large as the stream (Xavier, unit tokens)."""
    slope, low, high = last_slope("pre_norm")
    assert high - low <= 0.1
    assert low <= -0.5 <= high
    slope, low, high = last_slope("post_norm")
    assert high - low <= 0.1
    assert abs(slope) < 0.15


def alike(batch: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    one = torch.randn(batch, 1, 128, generator=generator, dtype=torch.float64)
    return one.expand(batch, 15, 128).clone(), torch.ones(batch, 15, dtype=torch.bool)


def test_tokens_that_are_alike_give_queries_and_keys_no_gradient():
    """arXiv 2206.03126: every weight of attention is the same constant then."""
    torch.manual_seed(0)
    module = Tokens("pre_norm", 3).double()
    x, mask = alike()
    batches = [Batch(x[:4], mask[:4]), Batch(x[4:], mask[4:])]
    found = gradients(Stack(module, batches[0]), batches)
    assert all(ratio.value < 1e-10 for ratio in found.attention)
    apart = [Batch(torch.randn_like(batch.inputs), batch.mask) for batch in batches]
    assert all(ratio.value > 1e-3 for ratio in gradients(Stack(module, apart[0]), apart).attention)


def texts(rows: int = 192, seed: int = 0) -> list[Batch]:
    """Random words: what is read of a place is position alone."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(4, 500, (rows, 15), generator=generator)
    mask = torch.arange(15) < torch.randint(8, 16, (rows, 1), generator=generator)
    return [Batch(ids.masked_fill(~mask, 0)[at : at + 64], mask[at : at + 64]) for at in range(0, rows, 64)]


def network(num_layers: int = 6, **changes) -> Network:
    torch.manual_seed(0)
    return Network(config.replace(SEED, num_layers=num_layers, d_model=64, d_feedforward=128, **changes), 500, 4)


@pytest.mark.parametrize("residual", ["pre_norm", "post_norm"])
def test_without_positions_a_probe_is_at_chance_and_order_moves_nothing(residual):
    blind, batches = network(residual=residual, positions="none", positions_options={}), texts()
    stack = Stack(blind, batches[0])
    for layer in places_by_layer(stack, batches):
        assert layer.probe.low < 0 < layer.probe.high
        assert layer.position.value < 0.01
    moved = answers(stack, [permuted(batch, 5) for batch in batches])
    assert np.abs(moved - answers(stack, batches)).max() < 1e-5


def test_positions_as_large_as_words_are_read_everywhere_at_the_input():
    sighted = network(positions="learned", positions_options={"std": 1.0})
    first = places_by_layer(Stack(sighted, texts()[0]), texts())[0]
    assert first.accuracy > 0.99
    assert first.position.value == pytest.approx(0.5, abs=0.05)
    assert first.content == pytest.approx(0.5, abs=0.05)


def test_chance_is_what_lengths_give():
    """Texts of 8 to 15 words: one place of each, not one in fifteen."""
    batches = texts()
    first = places_by_layer(Stack(network(positions="none", positions_options={}), batches[0]), batches)[0]
    lengths = torch.cat([batch.mask.sum(1) for batch in batches])
    assert first.chance == pytest.approx(len(lengths) / float(lengths.sum()), rel=0.03)


def test_words_do_not_pass_for_places():
    """In these texts each word has a place of its own; a probe on them as they stand would read words."""
    batches = [
        Batch(torch.arange(4, 19).repeat(64, 1) + 15 * torch.randint(0, 3, (64, 15)), torch.ones(64, 15).bool())
        for _ in range(3)
    ]
    blind = network(positions="none", positions_options={})
    assert places_by_layer(Stack(blind, batches[0]), batches)[0].probe.value < 0.1


def test_operations_are_those_of_the_closed_form_with_attention_counted():
    """The fused kernel of the CPU is free to a counter that does not know it."""
    report = examine(network(), texts(64), weights="initial")
    batch, length, d, f = 64, 15, 64, 128
    layer = 2 * batch * length * (4 * d * d + 2 * d * f) + 4 * batch * length**2 * d
    assert report["cost"]["flops"]["by_layer"] == [layer] * 6
    assert report["cost"]["flops"]["depth"]["law"] == "linear"
