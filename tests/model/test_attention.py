"""Normed queries and keys: the logits of attention are bounded, whatever the projections learn."""

import pytest
import torch

from scriptchain.model.trace import Trace

from ..positions.rows import ROWS, SMALL, difference, network, padding, scatter, texts

WIDTH = SMALL["d_model"] // SMALL["num_heads"]
NONE = ROWS[0]


def logits(qk_norm: bool, times: float) -> torch.Tensor:
    """The first layer's, of real tokens, with projections so many times larger."""
    mask = padding((3, 6), 6, "right")
    built = network(NONE, qk_norm=qk_norm)
    attention = built.encoder.layers[0].attention
    attention.project.weight.data.mul_(times)
    attention.project.bias.data.mul_(times)
    if qk_norm:
        attention.query_norm.weight.data.fill_(1.5)
        attention.key_norm.weight.data.fill_(0.5)
    trace = Trace()
    with torch.no_grad():
        built(scatter(texts(3, 6), mask), mask, trace)
    return trace["layers.0.attention.scores"][1]


def test_larger_projections_cannot_sharpen_attention():
    bound = 1.5 * 0.5 * WIDTH**0.5  # a normed head is sqrt(width) long at most
    assert logits(True, 40).abs().max() <= bound + 1e-5
    assert difference(logits(True, 40), logits(True, 1)) < 0.05
    assert logits(False, 40).abs().max() > 20 * bound
    assert logits(False, 40).abs().max().item() == pytest.approx(1600 * logits(False, 1).abs().max().item(), rel=1e-4)


def test_queries_and_keys_have_a_gain_each_and_no_bias():
    attention = network(NONE, qk_norm=True).encoder.layers[1].attention
    assert {name: tuple(value.shape) for name, value in attention.named_parameters() if "norm" in name} == {
        "query_norm.weight": (WIDTH,), "key_norm.weight": (WIDTH,),
    }  # fmt: skip
