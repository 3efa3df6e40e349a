"""Adding a constant to every coordinate changes nothing where shift-invariance is claimed, and something elsewhere."""

import pytest

from scriptchain.conformance.shift import check_shift

from .rows import network, rows


@pytest.mark.parametrize("by", [1, 5])
@rows()
def test_shift(row, by):
    check_shift(network(row), by, row.shift_invariant)
