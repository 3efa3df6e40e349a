"""Pooling against numpy, and the way from a packed stream to one vector a text."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from scriptchain.config import make
from scriptchain.model.head import AttentionPooling, ClsPooling, Head, MaxPooling, MeanPooling
from scriptchain.positions import Positions

from ..positions.rows import SMALL, difference, draw, perturbed

WIDTH = 4
# Pads anywhere, and at least one token a text.
MASKS = st.lists(st.lists(st.booleans(), min_size=6, max_size=6).filter(any), min_size=1, max_size=4)


def mean(x, valid):
    return np.stack([row[kept].mean(0) for row, kept in zip(x, valid, strict=True)])


def first(x, valid):
    return np.stack([row[kept][0] for row, kept in zip(x, valid, strict=True)])


def weighted(x, valid, weight, bias):
    pooled = []
    for row, kept in zip(x, valid, strict=True):
        scores = row[kept] @ weight + bias
        powers = np.exp(scores - scores.max())
        pooled.append((powers / powers.sum()) @ row[kept])
    return np.stack(pooled)


def stream(mask, dtype=torch.float64):
    """A stream whose pads hold great numbers, which must not leak."""
    valid = torch.tensor(mask)
    return draw(*valid.shape, WIDTH, dtype=dtype) + 1e6 * ~valid.unsqueeze(-1), valid


@given(MASKS)
@settings(deadline=None)
def test_mean(mask):
    x, valid = stream(mask)
    np.testing.assert_allclose(MeanPooling()(x, valid).numpy(), mean(x.numpy(), valid.numpy()), atol=1e-9)


@given(MASKS)
@settings(deadline=None)
def test_max(mask):
    x, valid = stream(mask)
    expected = np.stack([row[kept].max(0) for row, kept in zip(x.numpy(), valid.numpy(), strict=True)])
    np.testing.assert_array_equal(MaxPooling()(x, valid).numpy(), expected)
    assert MaxPooling()(x, torch.zeros_like(valid)).eq(0).all()


@given(MASKS)
@settings(deadline=None)
def test_cls_is_the_first_real_token(mask):
    x, valid = stream(mask)
    np.testing.assert_array_equal(ClsPooling()(x, valid).numpy(), first(x.numpy(), valid.numpy()))


@given(MASKS)
@settings(deadline=None)
def test_attention(mask):
    x, valid = stream(mask)
    pooling = perturbed(AttentionPooling(WIDTH)).double()
    weight, bias = pooling.score.weight.detach().numpy()[0], pooling.score.bias.item()
    assert np.abs(weight).min() > 0
    np.testing.assert_allclose(
        pooling(x, valid).detach().numpy(), weighted(x.numpy(), valid.numpy(), weight, bias), atol=1e-9
    )


def test_attention_starts_as_the_mean():
    x, valid = stream([[True, True, False, True], [False, True, False, False]])
    assert difference(AttentionPooling(WIDTH).double()(x, valid), MeanPooling()(x, valid)) < 1e-9


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_half_precision_pools_without_overflow(dtype):
    x, valid = draw(2, 3, WIDTH).to(dtype), torch.tensor([[True, False, True], [False, False, False]])
    for pooling in (MeanPooling(), MaxPooling(), ClsPooling(), AttentionPooling(WIDTH).to(dtype)):
        pooled = pooling(x, valid)
        assert pooled.isfinite().all()
        assert pooled.dtype == dtype


@pytest.mark.parametrize("pooling", ["mean", "max", "cls", "attention"])
def test_head_layers(pooling):
    """An MLP of the widths that were asked for, with the activation between them and none at the end."""
    config = make({**SMALL, "pooling": pooling, "head_layers": [6, 5], "activation": "relu"})
    head = perturbed(Head(config, 3))
    linear = [part for part in head.mlp if isinstance(part, torch.nn.Linear)]
    linear[-1].bias.data.sub_(100)  # an activation on the logits would show
    assert [(part.in_features, part.out_features) for part in linear] == [(8, 6), (6, 5), (5, 3)]
    x, p = draw(2, 4, 8), Positions.from_mask(torch.tensor([[True] * 4, [False, True, True, False]]))
    y = head.pooling(x, p.valid).detach().numpy()
    for part in linear:
        y = y @ part.weight.detach().numpy().T + part.bias.detach().numpy()
        y = y if part is linear[-1] else np.maximum(y, 0)
    np.testing.assert_allclose(head(x, p).detach().numpy(), y, rtol=1e-6)
    assert (y < 0).all()


def test_without_head_layers_the_head_is_linear():
    head = perturbed(Head(make(SMALL), 3)).double()
    p = Positions.from_lengths(torch.tensor([3, 3]))
    one, other = draw(2, 3, 8, seed=1, dtype=torch.float64), draw(2, 3, 8, seed=2, dtype=torch.float64)
    assert difference(head((one + other) / 2, p), (head(one, p) + head(other, p)) / 2) < 1e-12
