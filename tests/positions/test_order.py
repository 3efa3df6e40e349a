"""Shuffling the tokens of a text changes the pooled logits; without positions it must not."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from scriptchain.model.pipeline import Network

from .rows import CHANGED, ROWS, SAME, difference, network, rows, texts

LENGTH = 6
# Neither the identity nor the reversal, which an encoding may be blind to.
ORDERS = [[1, 0, 2, 3, 4, 5], [0, 3, 2, 1, 4, 5], [3, 4, 5, 0, 1, 2], [2, 0, 5, 1, 3, 4]]


def check_order(network: Network, order: list[int], aware: bool) -> None:
    (ids,) = texts(LENGTH, cls=False)
    mask = torch.ones(1, LENGTH, dtype=torch.bool)
    with torch.no_grad():
        moved = difference(network(ids[None], mask), network(ids[order][None], mask))
    if aware:
        assert moved > CHANGED, f"the order of tokens must change the logits, moved them by {moved}"
    else:
        assert moved < SAME, f"the order of tokens must not change the logits, moved them by {moved}"


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
