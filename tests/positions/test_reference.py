"""Every hook equals the paper's formula, written as a slow loop in float64."""

import torch

from scriptchain.conformance.inputs import streams
from scriptchain.conformance.reference import check_reference
from scriptchain.positions import Positions

from .rows import build, rows


@rows()
def test_hooks_equal_the_reference(row):
    for p in streams():
        check_reference(build(row), row.reference, row.options, p)


@rows()
def test_the_last_position_equals_the_reference(row):
    p = Positions.from_lengths(torch.tensor([row.reach]))
    check_reference(build(row), row.reference, row.options, p)
