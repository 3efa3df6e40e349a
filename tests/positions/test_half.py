"""Half precision rounds numbers of the stream; it moves no position, angle or table row."""

import copy

import pytest
import torch

from scriptchain.positions import PositionalEncoding, Positions, Size

from .references import Reference
from .rows import SIZE, Row, build, difference, network, rows, texts
from .test_reference import check_reference

HALF = [torch.bfloat16, torch.float16]
LONG = 2048
FAR = [0, 1, 257, 1025, LONG - 1]  # bfloat16 has 8 bits of mantissa: 257 would be 256, 2047 would be 2048
LONG_SIZE = Size(SIZE.d_model, SIZE.num_heads, SIZE.num_layers, LONG)


def check_half(encoding: PositionalEncoding, reference: type[Reference], options: dict, dtype: torch.dtype) -> None:
    """Inputs in half precision, then the module cast too: the reference of the same learned numbers, rounded."""
    p = Positions.from_lengths(torch.tensor([len(FAR)]))
    p = p.at(torch.tensor([FAR]))
    # Two roundings of numbers below 4, and no more: a moved angle is wrong by the whole amplitude.
    tolerance = 8 * torch.finfo(dtype).eps
    for module in (encoding, copy.deepcopy(encoding).to(dtype)):
        check_reference(module, reference, options, p, dtype=dtype, tolerance=tolerance)


def long(row: Row) -> dict:
    return row.at(num_positions=LONG) if "num_positions" in row.options else row.at()


@pytest.mark.parametrize("dtype", HALF, ids=str)
@rows()
def test_half_precision_moves_no_position(row, dtype):
    options = long(row)
    check_half(build(Row(row.name, row.reference, options), LONG_SIZE), row.reference, options, dtype)


@pytest.mark.parametrize("dtype", HALF, ids=str)
@rows()
def test_a_network_in_half_precision_stays_near(row, dtype):
    """Against float64 with the same rounded weights, at far coordinates."""
    half = network(row, max_seq_len=LONG, positions_options=long(row)).to(dtype)
    exact = copy.deepcopy(half).double()
    (ids,) = texts(7)
    p = Positions.from_lengths(torch.tensor([7]))
    p = p.at(p.coordinate + LONG - 7)
    with torch.no_grad():
        near = difference(half.classify(ids[None], p), exact.classify(ids[None], p))
        apart = difference(exact.classify(ids[None], p), exact.classify(ids.flip(0)[None], p))
    assert near < 30 * torch.finfo(dtype).eps
    if row.direction_aware:  # else the reversed text is the same text
        assert apart > near
