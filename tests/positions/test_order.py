"""Shuffling the tokens of a text changes the pooled logits; without positions it must not."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scriptchain.conformance.order import LENGTH, ORDERS, check_order

from .rows import ROWS, network, rows


@pytest.mark.parametrize("residual", ["pre_norm", "post_norm"])
@pytest.mark.parametrize("pooling", ["mean", "attention"])
@rows()
def test_order(row, pooling, residual):
    built = network(row, pooling=pooling, residual=residual)
    for order in ORDERS:
        check_order(built, order, row.order_aware)


BAG = network(ROWS[0])


@given(st.permutations(list(range(LENGTH))))
@settings(deadline=None)
def test_without_positions_every_order_is_the_same(order):
    assert ROWS[0].name == "none"
    check_order(BAG, order, aware=False)
