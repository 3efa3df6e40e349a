"""A packed stream gives each text the logits that it gets alone."""

import pytest
import torch

from scriptchain.conformance.inputs import difference, texts
from scriptchain.conformance.packing import LENGTHS, check_packing
from scriptchain.data.tokenizer import CLS
from scriptchain.positions import Positions

from .rows import network, rows


@pytest.mark.parametrize("residual", ["pre_norm", "post_norm"])
@pytest.mark.parametrize("pooling", ["mean", "max", "cls", "attention"])
@rows()
def test_packing(row, pooling, residual):
    built = network(row, pooling=pooling, residual=residual)
    for batched in (False, True):
        check_packing(built, batched)


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
