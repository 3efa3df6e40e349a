"""Every hook keeps the shape and the number type of what it is given; so does an attention around it."""

import torch

from ..positions import Bias, PositionalEncoding, Positions
from .adapter import Adapter
from .inputs import draw


def check_shapes(encoding: PositionalEncoding, p: Positions, dtype: torch.dtype = torch.float32) -> None:
    shape, size = tuple(p.valid.shape), encoding.size
    width = size.d_model // size.num_heads
    x = draw(*shape, size.d_model, dtype=dtype)
    q, k = (draw(*shape, size.num_heads, width, seed=seed, dtype=dtype) for seed in (1, 2))

    placed = encoding.place(p)
    assert tuple(placed.coordinate.shape) == shape, "place must keep the shape"
    assert torch.equal(placed.valid, p.valid), "place must keep the tokens"
    embedded = encoding.embed(x, placed)
    assert embedded.shape == x.shape, "embed must keep the shape"
    assert embedded.dtype == dtype, "embed must keep the number type"
    bias = encoding.bias(embedded, q, k, placed)
    if bias is not None:
        assert isinstance(bias, Bias), "bias must be a Bias or None"
        rows_, length = (1, p.valid.numel()) if p.packed else shape
        batch, *rest = bias.dense().shape
        assert batch in (1, rows_), "the bias must have the batch's size or 1"
        assert rest == [size.num_heads, length, length], "a bias must be heads x queries x keys"
    turned = encoding.rotate(q, k, placed)
    assert turned[0].shape == turned[1].shape, "rotate must give queries and keys one width"
    assert tuple(turned[0].shape[:-1]) == (*shape, size.num_heads), "rotate must keep tokens and heads"
    assert turned[0].shape[-1] >= width, "rotate must not lose width"
    assert {part.dtype for part in turned} == {dtype}, "rotate must keep the number type"


def check_outputs(adapter: Adapter, p: Positions) -> None:
    """One attention around any encoding: an output a token, of the number type of its input, all of them finite."""
    x = draw(*p.valid.shape, adapter.size.d_model)
    y = adapter.through(x, p)
    assert y.shape[:-1] == x.shape[:-1], f"an attention must give one output a token, got {tuple(y.shape)}"
    assert y.dtype == x.dtype, f"an attention must keep the number type, got {y.dtype}"
    assert y[p.valid].isfinite().all(), "an attention must give finite outputs"
