"""A packed stream gives each text the logits that it gets alone."""

import pytest
import torch

from scriptchain.data.tokenizer import CLS
from scriptchain.model.pipeline import Network
from scriptchain.positions import Positions

from .rows import SAME, difference, network, rows, texts

LENGTHS = (3, 1, 7, 4)


def check_packing(network: Network, batched: bool) -> None:
    ids = texts(*LENGTHS)
    numbers = [6, 2, 40, 0]  # any numbers, in any order
    stream = torch.cat(ids)
    segment = torch.cat([torch.full_like(text, number) for text, number in zip(ids, numbers, strict=True)])
    if batched:
        stream, segment = stream[None], segment[None]
    with torch.no_grad():
        alone = torch.cat([network(text[None], torch.ones(1, len(text), dtype=torch.bool)) for text in ids])
        packed = network.classify(stream, Positions.from_packed(segment, special=stream == CLS))
    assert packed.shape == alone.shape, "a packed stream must give one row of logits a text"
    moved = difference(packed, alone)
    assert moved < SAME, f"packed texts must have the logits of separate ones, moved them by {moved}"


@pytest.mark.parametrize("batched", [False, True], ids=["N", "1N"])
@pytest.mark.parametrize("residual", ["pre_norm", "post_norm"])
@pytest.mark.parametrize("pooling", ["mean", "max", "cls", "attention"])
@rows()
def test_packing(row, pooling, residual, batched):
    check_packing(network(row, pooling=pooling, residual=residual), batched)


@rows()
def test_gradients_of_a_packed_stream_are_those_of_a_padded_batch(row):
    ids = texts(*LENGTHS)
    built = network(row).double()
    grids = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True)
    mask = torch.arange(grids.shape[1]) < torch.tensor(LENGTHS)[:, None]
    segment = torch.cat([torch.full_like(text, number) for number, text in enumerate(ids)])
    padded = torch.autograd.grad(built(grids, mask).square().sum(), list(built.parameters()))
    tokens = torch.cat(ids)
    stream = built.classify(tokens, Positions.from_packed(segment, special=tokens == CLS))
    packed = torch.autograd.grad(stream.square().sum(), list(built.parameters()))
    for (name, _), one, other in zip(built.named_parameters(), padded, packed, strict=True):
        assert difference(one, other) < 1e-9 * (1 + one.abs().max()), name
