"""Offset: every text begins at the same later coordinate.

coordinate + offset.
"""

from typing import final

from ..errors import ConfigError
from ._positions import Positions
from ._protocol import PositionalEncoding, Size


@final
class Offset(PositionalEncoding):
    """A policy: what reads coordinates finds them moved by `offset`; what reads distances does not notice.

    *Raises*: ConfigError for an offset below 0.
    *Source*: arXiv 2109.05644 (SHAPE), with one shift for all texts.
    """

    acts = "moves coordinates"
    source = "arXiv 2109.05644"

    def __init__(self, size: Size, *, offset: int = 1):
        super().__init__(size)
        if offset < 0:
            raise ConfigError(f"offset must be at least 0, got {offset}", hint="positions_options.offset=1")
        self.offset = offset

    def coordinates(self, max_seq_len: int) -> int | None:
        return max_seq_len + self.offset

    def place(self, p: Positions) -> Positions:
        return p.at(p.coordinate + self.offset)
