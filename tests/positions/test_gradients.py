"""Gradients through embed, bias, rotate and attend are those of float64 finite differences, and reach every number."""

import torch

from scriptchain.conformance.gradients import check_gradients, check_reach, through
from scriptchain.conformance.inputs import SIZE, draw, streams
from scriptchain.positions import Positions, Size
from scriptchain.positions import build as build_encoding

from .rows import ROWS, build, rows


@rows()
def test_gradients_are_exact(row):
    size = Size(8, 2, 1, 4)
    for number, p in enumerate(streams(4)):
        options = row.at(num_positions=5) if "num_positions" in row.options else row.options
        check_gradients(build_encoding(row.name, size, options).eval(), p, each=number == 0)


@rows()
def test_gradients_reach_every_parameter(row):
    check_reach(build(row), row.reach)


def test_a_table_is_trained_only_as_far_as_texts_reach():
    row = next(row for row in ROWS if row.name == "learned")
    encoding = build(row).double()
    p = Positions.from_lengths(torch.tensor([5]))
    through(encoding, draw(1, 5, SIZE.d_model, dtype=torch.float64), p).square().sum().backward()
    reached = encoding.table.grad.ne(0).all(1)
    assert reached.tolist() == [True] * 5 + [False] * (SIZE.max_seq_len - 5)
