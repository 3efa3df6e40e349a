"""A text has the same logits padded on the left, on the right, anywhere or not at all, whatever the pads contain."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from scriptchain.conformance.inputs import VOCAB, padding, scatter, texts
from scriptchain.conformance.padding import LENGTHS, WIDTH, check_empty, check_padding

from .rows import ROWS, network, rows

GRID = [
    (pooling, residual) for pooling in ("mean", "max", "cls", "attention") for residual in ("pre_norm", "post_norm")
]


@pytest.mark.parametrize(("pooling", "residual"), GRID, ids=["-".join(pair) for pair in GRID])
@rows()
def test_padding(row, pooling, residual):
    built = network(row, pooling=pooling, residual=residual)
    for side in ("left", "right"):
        check_padding(built, padding(LENGTHS, WIDTH, side))
    check_empty(built)


NETWORKS = {row.id: network(row, pooling="attention") for row in ROWS}


@rows()
@given(st.lists(st.lists(st.booleans(), min_size=7, max_size=7).filter(any), min_size=1, max_size=3))
@settings(deadline=None, max_examples=15)
def test_pads_may_stand_anywhere(row, mask):
    check_padding(NETWORKS[row.id], torch.tensor(mask))


def test_garbage_is_garbage():
    """The pads of these tests are filled with many tokens, so that a law that passes has seen some."""
    mask = padding(LENGTHS, WIDTH, "left")
    pads = torch.cat([scatter(texts(*LENGTHS), mask, seed)[~mask] for seed in range(3)])
    assert len(pads.unique()) > VOCAB // 2
