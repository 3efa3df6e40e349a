"""A text and its reversal get other logits where an encoding claims to be direction-aware, and only there."""

import torch

from .adapter import Classifies
from .inputs import CHANGED, SAME, difference, padding, scatter, texts


def check_mirror(network: Classifies, aware: bool) -> None:
    """Pooled by the mean, so that only the encoding can tell."""
    lengths = (2, 5, 8)
    forward = texts(*lengths, cls=False)
    mask = padding(lengths, 9, "right")
    with torch.no_grad():
        one = network(scatter(forward, mask), mask)
        other = network(scatter([text.flip(0) for text in forward], mask), mask)
    for before, after in zip(one, other, strict=True):
        moved = difference(before, after)
        if aware:
            assert moved > CHANGED, f"a reversed text must change the logits, moved them by {moved}"
        else:
            assert moved < SAME, f"a reversed text must not change the logits, moved them by {moved}"
