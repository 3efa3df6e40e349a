"""Shuffling the tokens of a text changes the pooled logits; without positions it must not."""

from collections.abc import Sequence

import torch

from .adapter import Classifies
from .inputs import CHANGED, SAME, difference, texts

LENGTH = 6
# Neither the identity nor the reversal, which an encoding may be blind to.
ORDERS = [[1, 0, 2, 3, 4, 5], [0, 3, 2, 1, 4, 5], [3, 4, 5, 0, 1, 2], [2, 0, 5, 1, 3, 4]]


def check_order(network: Classifies, order: Sequence[int], aware: bool) -> None:
    (ids,) = texts(LENGTH, cls=False)
    mask = torch.ones(1, LENGTH, dtype=torch.bool)
    with torch.no_grad():
        moved = difference(network(ids[None], mask), network(ids[list(order)][None], mask))
    if aware:
        assert moved > CHANGED, f"the order of tokens must change the logits, moved them by {moved}"
    else:
        assert moved < SAME, f"the order of tokens must not change the logits, moved them by {moved}"
