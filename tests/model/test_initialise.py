"""Initial values: every layer its own draw, the scales that were asked for, and no hand on what others drew."""

import copy

import pytest
import torch
from torch import nn

from scriptchain.config import make
from scriptchain.model.initialise import initialise
from scriptchain.model.pipeline import Network
from scriptchain.positions import Once, PositionalEncoding, Size

from ..positions.rows import SIZE, SMALL

DEEP = {**SMALL, "num_layers": 4}


def fresh(vocab_size: int = 32, seed: int = 0, **config) -> Network:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Network(make({**DEEP, **config}), vocab_size, 3)


def check_not_copies(layers: nn.ModuleList) -> None:
    """No two matrices of one shape are equal, in a layer or across layers."""
    matrices = [
        (f"{number}.{name}", value)
        for number, layer in enumerate(layers)
        for name, value in layer.named_parameters()
        if value.dim() == 2
    ]
    assert matrices, "the layers must have matrices"
    for place, (name, value) in enumerate(matrices):
        for other, compared in matrices[place + 1 :]:
            same = value.shape == compared.shape and torch.equal(value, compared)
            assert not same, f"{name} and {other} must not be copies"


@pytest.mark.parametrize("residual", ["pre_norm", "post_norm"])
def test_layers_are_not_copies(residual):
    check_not_copies(fresh(residual=residual).encoder.layers)


def test_a_stack_of_copies_is_caught():
    layer = fresh().encoder.layers[0]
    with pytest.raises(AssertionError, match="must not be copies"):
        check_not_copies(nn.ModuleList([layer, copy.deepcopy(layer)]))


@pytest.mark.parametrize("scale", [0.25, 0.5**0.5, 3.0])
def test_residual_scale_is_on_the_last_projection_of_each_branch_and_nowhere_else(scale):
    plain, scaled = fresh(), fresh(residual_scale=scale)
    touched = {
        f"encoder.layers.{number}.{branch}.output.weight"
        for number in range(4)
        for branch in ("attention", "feedforward")
    }
    names = dict(scaled.named_parameters())
    assert touched < set(names)
    for name, value in plain.named_parameters():
        assert torch.equal(names[name], value * scale if name in touched else value), name


@pytest.mark.parametrize("std", [0.02, 0.05, 1.0])
def test_embedding_std(std):
    tokens = fresh(vocab_size=1_000, embedding_std=std).encoder.tokens.weight
    assert tokens.std().item() == pytest.approx(std, rel=0.05)
    assert abs(tokens.mean().item()) < 0.05 * std


def test_linear_layers_are_xavier_uniform_with_zero_bias():
    network = fresh(d_model=32, d_feedforward=64, head_layers=[16])
    linear = [(name, part) for name, part in network.named_modules() if isinstance(part, nn.Linear)]
    assert len(linear) == 4 * 4 + 2
    for name, part in linear:
        bound = (6 / (part.in_features + part.out_features)) ** 0.5
        assert part.bias.eq(0).all(), name
        assert 0.9 * bound < part.weight.abs().max() <= bound, name
        assert part.weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.15), name


def test_a_layer_with_one_output_is_a_layer_as_any_other():
    """`head_layers` may be as narrow as 1: its bias starts at 0 too."""
    narrow = next(part for part in fresh(head_layers=[1]).head.mlp if isinstance(part, nn.Linear))
    assert narrow.out_features == 1
    assert narrow.bias.eq(0).all()
    assert narrow.weight.abs().max() <= (6 / 9) ** 0.5


def test_attention_pooling_starts_as_the_mean():
    pooling = fresh(pooling="attention").head.pooling
    assert pooling.score.weight.eq(0).all()
    assert pooling.score.bias.eq(0).all()


def test_norms_start_as_the_identity():
    norms = [part for part in fresh().modules() if isinstance(part, nn.LayerNorm)]
    assert len(norms) == 2 * 4 + 1
    assert all(part.weight.eq(1).all() and part.bias.eq(0).all() for part in norms)


@pytest.mark.parametrize("std", [0.02, 0.5])
def test_positions_keep_their_own_scale(std):
    network = fresh(max_seq_len=512, embedding_std=0.1, positions_options={"std": std})
    assert network.encoder.encodings.encoding.table.std().item() == pytest.approx(std, rel=0.05)


class DrawsItsOwn(PositionalEncoding):
    """An encoding that is made of layers and starts them where its paper says."""

    def __init__(self, size: Size):
        super().__init__(size)
        self.buckets = nn.Embedding(8, size.num_heads)
        self.mixer = nn.Linear(size.d_model, size.d_model)
        nn.init.zeros_(self.buckets.weight)
        nn.init.eye_(self.mixer.weight)
        nn.init.ones_(self.mixer.bias)


def test_encodings_draw_their_own_values():
    network = fresh()
    network.encoder.encodings = Once(DrawsItsOwn(SIZE))
    initialise(network, make(DEEP))
    encoding = network.encoder.encodings.encoding
    assert encoding.buckets.weight.eq(0).all()
    assert torch.equal(encoding.mixer.weight, torch.eye(SIZE.d_model))
    assert encoding.mixer.bias.eq(1).all()


def test_the_seed_decides_everything():
    one, same, other = fresh(), fresh(), fresh(seed=1)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), same.parameters(), strict=True))
    assert not torch.equal(one.encoder.tokens.weight, other.encoder.tokens.weight)
