"""Biases and waves of x-transformers, with the weights that it drew or that we gave it."""

import pytest
import torch

from scriptchain.positions import Alibi, Cope, Cpb, Sinusoidal, Size, T5Bias

from .ours import D_MODEL, HEADS, LENGTH, PARITY, SIZE, TOLERANCE, WIDTH, assert_same, bias, draw, perturbed, positions

pytestmark = PARITY


def test_t5_bias():
    """Its table is multiplied by a scale of its own, sqrt(E), and has the row of distance 0 "to the right"."""
    from x_transformers.x_transformers import RelativePositionBias

    theirs = perturbed(RelativePositionBias(scale=WIDTH**0.5, heads=HEADS)).double()
    ours = T5Bias(SIZE).double()
    rows = theirs.relative_attention_bias.weight.detach() * theirs.scale
    ours.table.data.copy_(torch.cat([rows[:16], rows[17:]]))
    assert_same(bias(ours, 300), theirs(300, 300))


def test_dynamic_position_bias():
    """It has SiLU where ours has GELU, and i - j where ours has j - i: units steep enough are ReLU in both."""
    from x_transformers.x_transformers import DynamicPositionBias

    theirs = perturbed(DynamicPositionBias(24, heads=HEADS, depth=1, log_distance=True))
    (expand, _), output = theirs.mlp
    ours, steep = Cpb(SIZE, hidden=24), 2.0**23
    output.bias.data.zero_()  # the same for all pairs, which no softmax sees: ours has none
    ours.output.weight.data.copy_(output.weight.data)
    for layer, sign in ((expand, 1), (ours.expand, -1)):
        layer.weight.data.copy_(sign * steep * draw(24, 1, seed=7))
        layer.bias.data.copy_(steep * draw(24, seed=8))
    for layer in (output, ours.output):
        layer.weight.data.div_(steep)
    assert_same(bias(ours, LENGTH, torch.float32), theirs(LENGTH, LENGTH), TOLERANCE)


@pytest.mark.parametrize("num_heads", [4, 8, 12])
def test_alibi(num_heads):
    """Theirs is the symmetric form, whole."""
    from x_transformers.x_transformers import AlibiPositionalBias

    ours = Alibi(Size(WIDTH * num_heads, num_heads, 1, LENGTH), symmetric=True)
    assert_same(bias(ours, LENGTH, torch.float32), AlibiPositionalBias(num_heads)(LENGTH, LENGTH), TOLERANCE)


@pytest.mark.parametrize("num_positions", [6, 64])
def test_cope(num_positions):
    """Theirs is causal, our left half, and its queries are not scaled where they meet the table."""
    from x_transformers.x_transformers import CoPE

    theirs = perturbed(CoPE(WIDTH, HEADS, num_positions)).double()
    ours = Cope(SIZE, num_positions=num_positions).double()
    ours.left.data.copy_(theirs.pos_emb.detach().T * WIDTH**0.5)
    ours.right.data.copy_(draw(WIDTH, num_positions, seed=9))  # keys to the right must not reach the left half
    q, k = (draw(1, LENGTH, HEADS, WIDTH, seed=seed) for seed in (1, 2))
    scores = WIDTH**-0.5 * q.transpose(1, 2) @ k.transpose(1, 2).mT
    hidden = torch.ones(LENGTH, LENGTH).triu(1).bool()
    expected = theirs(q.transpose(1, 2), scores.masked_fill(hidden, -torch.finfo(scores.dtype).max))
    found = ours.bias(q.flatten(-2), q, k, positions()).dense()
    assert_same(found.masked_fill(hidden, 0), expected.masked_fill(hidden, 0))


def test_sinusoidal():
    """Halves there too, and one learned scale, which we keep as its logarithm."""
    from x_transformers.x_transformers import ScaledSinusoidalEmbedding

    theirs = ScaledSinusoidalEmbedding(D_MODEL)
    ours, x = Sinusoidal(SIZE, scale=D_MODEL**-0.5, learnable=True), torch.zeros(1, LENGTH, D_MODEL)
    assert_same(ours.embed(x, positions())[0], theirs(x), TOLERANCE)
