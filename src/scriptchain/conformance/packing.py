"""A packed stream gives each text the logits that it gets alone."""

import torch

from ..data.tokenizer import CLS
from ..positions import Positions
from .adapter import Classifies
from .inputs import SAME, difference, texts

LENGTHS = (3, 1, 7, 4)


def check_packing(network: Classifies, batched: bool) -> None:
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
