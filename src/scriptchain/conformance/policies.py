"""A policy that draws coordinates draws for each text and in training alone, and keeps the order of tokens."""

import torch

from ..positions import PositionalEncoding, Positions
from .inputs import seeded


def check_policy(encoding: PositionalEncoding, p: Positions) -> None:
    """In training each forward and each text has a draw of its own, and order is kept; outside it nothing is drawn."""
    encoding.train()
    with seeded(1):
        one, other = encoding.place(p).coordinate, encoding.place(p).coordinate
    assert not torch.equal(one[p.valid], other[p.valid]), "each forward of training must draw anew"
    gaps = []
    for number in p.segment.unique():
        own = p.valid & (p.segment == number)
        coordinate = one[own]
        assert (coordinate.diff() > 0).all(), "the order of tokens must be kept"
        gaps.append(float(coordinate[0]))
    assert len(set(gaps)) > 1, "each text must have a draw of its own"
    encoding.eval()
    assert torch.equal(encoding.place(p).coordinate, encoding.place(p).coordinate), "outside training nothing is drawn"
