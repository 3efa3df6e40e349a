"""A text and its reversal get other logits where an encoding claims to be direction-aware, and only there."""

import pytest
import torch

from scriptchain.model.pipeline import Network

from .rows import CHANGED, SAME, difference, network, padding, rows, scatter, texts


def check_mirror(network: Network, aware: bool) -> None:
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


@pytest.mark.parametrize("residual", ["pre_norm", "post_norm"])
@rows()
def test_mirror(row, residual):
    check_mirror(network(row, pooling="mean", residual=residual), row.direction_aware)
