"""A text has the same logits padded on the left, on the right, anywhere or not at all, whatever the pads contain."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from scriptchain.model.pipeline import Network

from .rows import ROWS, SAME, VOCAB, difference, network, padding, rows, scatter, texts

LENGTHS = (3, 7, 1, 5)
WIDTH = 9
GRID = [
    (pooling, residual) for pooling in ("mean", "max", "cls", "attention") for residual in ("pre_norm", "post_norm")
]


def check_padding(network: Network, mask: torch.Tensor) -> None:
    lengths = mask.sum(1).tolist()
    ids = texts(*lengths)
    with torch.no_grad():
        alone = torch.cat([network(text[None], torch.ones(1, len(text), dtype=torch.bool)) for text in ids])
        for seed in range(3):
            moved = difference(network(scatter(ids, mask, seed), mask), alone)
            assert moved < SAME, f"pads must not change the logits, moved them by {moved}"


def check_empty(network: Network) -> None:
    """A text without any token: finite logits and gradients, and its neighbors do not notice."""
    ids = texts(4)[0][None].repeat(2, 1)
    mask = torch.tensor([[True] * 4, [False] * 4])
    logits = network(ids, mask)
    assert logits.isfinite().all(), "a text without tokens must have finite logits"
    assert difference(logits[:1], network(ids[:1], mask[:1])) < SAME, "a text without tokens must not change others"
    logits.sum().backward()
    for name, parameter in network.named_parameters():
        if parameter.grad is not None:
            assert parameter.grad.isfinite().all(), f"a text without tokens must give {name} finite gradients"


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
