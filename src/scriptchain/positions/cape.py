"""CAPE: in training coordinates are shifted, jittered and stretched, so that a model learns their relations.

stretch (coordinate + shift + jitter), one stretch and shift a text, one jitter a token; nothing outside training.
"""

import math
from typing import final

import torch

from ..errors import ConfigError
from ._draw import of_each_text
from ._positions import Positions
from ._protocol import PositionalEncoding, Size


@final
class Cape(PositionalEncoding):
    """A policy for encodings that take real coordinates: shift, jitter and the logarithm of stretch are uniform.

    `max_shift` and `max_jitter` are in tokens, to both sides; `max_stretch` is a factor of at least 1.

    *Raises*: ConfigError for values out of range.
    *Source*: arXiv 2106.03143.
    """

    acts = "moves coordinates"
    source = "arXiv 2106.03143"

    def __init__(self, size: Size, *, max_shift: float = 5.0, max_jitter: float = 0.5, max_stretch: float = 1.03):
        super().__init__(size)
        for name, value, least in (("max_shift", max_shift, 0), ("max_jitter", max_jitter, 0),
                                   ("max_stretch", max_stretch, 1)):  # fmt: skip
            if not least <= value < float("inf"):
                raise ConfigError(f"{name} must be at least {least}, got {value}", hint=f"positions_options.{name}=1.0")
        self.max_shift, self.max_jitter, self.max_stretch = max_shift, max_jitter, max_stretch

    def coordinates(self, max_seq_len: int) -> int | None:
        return None

    def place(self, p: Positions) -> Positions:
        if not self.training:
            return p
        shift = of_each_text(p, lambda texts: _both_sides(self.max_shift, texts))
        stretch = of_each_text(p, lambda texts: _both_sides(math.log(self.max_stretch), texts).exp())
        jitter = _both_sides(self.max_jitter, *p.coordinate.shape).to(p.coordinate.device)
        return p.at(stretch * (p.coordinate + shift + jitter))


def _both_sides(most: float, *shape: int) -> torch.Tensor:
    return (2 * torch.rand(shape) - 1) * most
