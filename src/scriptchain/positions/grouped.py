"""Grouped positions: neighbors share a coordinate, so that a longer text fits the coordinates of a shorter one.

coordinate // group, rounded down.
"""

from typing import final

from ..errors import ConfigError
from ._positions import Positions
from ._protocol import PositionalEncoding, Size


@final
class Grouped(PositionalEncoding):
    """A policy; tokens of one group are told apart by nothing that reads coordinates.

    *Raises*: ConfigError for a group below 2.
    *Source*: arXiv 2401.01325, without its exact neighborhood.
    """

    acts = "moves coordinates"
    encoder_form = "ours"
    source = "arXiv 2401.01325"

    def __init__(self, size: Size, *, group: int = 2):
        super().__init__(size)
        if group < 2:
            raise ConfigError(f"group must be at least 2, got {group}", hint="positions_options.group=2")
        self.group = group

    def coordinates(self, max_seq_len: int) -> int | None:
        return (max_seq_len - 1) // self.group + 1

    def place(self, p: Positions) -> Positions:
        return p.at(p.coordinate // self.group)
