"""Every hook keeps the shape and the number type of what it is given."""

import pytest
import torch

from scriptchain.conformance.inputs import SIZE, draw, streams
from scriptchain.conformance.shapes import check_shapes
from scriptchain.positions import Positions

from .rows import build, rows

FORMS = ["right", "left", "packed", "packed-1N"]


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
