"""Half precision rounds numbers of the stream; it moves no position, angle or table row."""

import copy

import pytest
import torch

from scriptchain.conformance.half import HALF, LONG, LONG_SIZE, check_half
from scriptchain.conformance.inputs import difference, texts
from scriptchain.positions import Positions

from .rows import Row, build, network, rows


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
