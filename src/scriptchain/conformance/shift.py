"""Adding a constant to every coordinate changes nothing where shift-invariance is claimed, and something elsewhere."""

import torch

from ..positions import Positions
from .adapter import Classifies
from .inputs import CHANGED, SAME, difference, padding, scatter, texts


def check_shift(network: Classifies, by: int, invariant: bool) -> None:
    lengths = (3, 7, 1)
    mask = padding(lengths, 8, "left")
    ids = scatter(texts(*lengths), mask)
    p = Positions.from_mask(mask)
    with torch.no_grad():
        one, other = (network.classify(ids, p.at(p.coordinate + added)) for added in (0, by))
    for length, before, after in zip(lengths, one, other, strict=True):
        if length == 1 and not invariant:
            continue  # a token alone has all the attention, whatever its score
        moved = difference(before, after)
        if invariant:
            assert moved < SAME, f"a shift must not change the logits, moved them by {moved}"
        else:
            assert moved > CHANGED, f"a shift must change the logits, moved them by {moved}"
