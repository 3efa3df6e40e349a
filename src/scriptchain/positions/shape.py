"""SHAPE: in training each text begins at a random coordinate, so that none is learned by heart.

coordinate + k, k uniform in 0 .. max_shift, one draw a text and forward; k = 0 outside training.
"""

from typing import final

import torch

from ..errors import ConfigError
from ._draw import of_each_text
from ._positions import Positions
from ._protocol import PositionalEncoding, Size


@final
class Shape(PositionalEncoding):
    """A policy for encodings that read coordinates: shifted absolute positions.

    *Raises*: ConfigError for a max_shift below 1.
    *Source*: arXiv 2109.05644.
    """

    acts = "moves coordinates"
    source = "arXiv 2109.05644"

    def __init__(self, size: Size, *, max_shift: int = 100):
        super().__init__(size)
        if max_shift < 1:
            raise ConfigError(f"max_shift must be at least 1, got {max_shift}", hint="positions_options.max_shift=100")
        self.max_shift = max_shift

    def coordinates(self, max_seq_len: int) -> int | None:
        return max_seq_len + self.max_shift

    def place(self, p: Positions) -> Positions:
        if not self.training:
            return p
        return p.at(p.coordinate + of_each_text(p, lambda texts: torch.randint(self.max_shift + 1, (texts,))))
