"""A text has the same logits padded on the left, on the right, anywhere or not at all, whatever the pads contain."""

import torch
from torch import Tensor

from .adapter import Classifies
from .inputs import SAME, difference, scatter, texts

LENGTHS = (3, 7, 1, 5)
WIDTH = 9
ANYWHERE = torch.tensor([[1, 0, 1, 1, 0, 0, 1], [0, 1, 1, 0, 1, 1, 0], [0, 0, 1, 0, 0, 0, 1]], dtype=torch.bool)


def check_padding(network: Classifies, mask: Tensor) -> None:
    lengths = mask.sum(1).tolist()
    ids = texts(*lengths)
    with torch.no_grad():
        alone = torch.cat([network(text[None], torch.ones(1, len(text), dtype=torch.bool)) for text in ids])
        for seed in range(3):
            moved = difference(network(scatter(ids, mask, seed), mask), alone)
            assert moved < SAME, f"pads must not change the logits, moved them by {moved}"


def check_empty(network: Classifies) -> None:
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
