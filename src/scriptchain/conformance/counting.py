"""What `Positions` says of a batch depends on its texts alone, not on where their pads stand."""

import torch

from ..positions import Positions


def check_counting(p: Positions, mask: torch.Tensor) -> None:
    """Each text's real tokens are 0, 1, 2 ... of its own length, wherever its pads stand."""
    assert torch.equal(p.valid, mask), "valid must be the mask"
    for number, row in enumerate(mask):
        real = int(row.sum())
        assert p.index[number][row].tolist() == list(range(real)), "index must count the real tokens"
        assert p.index[number][~row].eq(0).all(), "a pad's index must be 0"
        assert p.length[number].eq(real).all(), "length must be the number of real tokens"
        assert p.segment[number].eq(number).all(), "segment must be the row"
