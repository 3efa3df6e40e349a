"""Every hook keeps the shape and the number type of what it is given."""

import pytest
import torch

from scriptchain.positions import Bias, PositionalEncoding, Positions

from .rows import SIZE, build, draw, rows, streams

FORMS = ["right", "left", "packed", "packed-1N"]


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


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("form", range(len(FORMS)), ids=FORMS)
@rows()
def test_hooks_keep_shape_and_type(row, form, dtype):
    check_shapes(build(row), streams()[form], dtype)


@rows()
def test_one_token(row):
    check_shapes(build(row), Positions.from_lengths(torch.tensor([1])))


@rows()
def test_a_whole_number_may_be_written_as_float32(row):
    encoding = build(row)
    p = streams()[0]
    x = draw(*p.valid.shape, SIZE.d_model)
    assert torch.equal(encoding.embed(x, p), encoding.embed(x, p.at(p.coordinate.float())))


@rows()
def test_what_was_given_is_not_written_on(row):
    encoding = build(row)
    p = streams()[0]
    x = draw(*p.valid.shape, SIZE.d_model)
    before, coordinate = x.clone(), p.coordinate.clone()
    encoding.embed(x, encoding.place(p))
    assert torch.equal(x, before)
    assert torch.equal(p.coordinate, coordinate)
