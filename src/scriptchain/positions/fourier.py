"""Learnable Fourier features: waves of learned frequencies, mixed by a small network, added to the stream.

x[t] + mlp([cos(t w), sin(t w)] / sqrt(n)), n the number of waves.
"""

from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..errors import ConfigError
from ._positions import Positions
from ._protocol import PositionalEncoding, Size
from ._waves import checked_base

WAVES = 16
HIDDEN = 32


@final
class Fourier(PositionalEncoding):
    """16 learned frequencies and an MLP of 32 GELU units, in float32 at every call, so that no length is out of reach.

    The frequencies start geometrically spaced from 1 to 1/`base`; the last layer is scaled so that what is added over
    the first max_seq_len positions has standard deviation `std`, which should match the tokens. The paper feeds
    positions of 0 to 1; ours are counted, so that weights mean the same at every length.

    *Raises*: ConfigError for a `base` that is not above 1 or a `std` that is not positive.
    *Source*: arXiv 2106.02795.
    """

    acts = "added to the stream"
    learns = "1,072 + 33 x d_model"
    shift_invariant = False
    direction_aware = True
    encoder_form = "ours"
    source = "arXiv 2106.02795"

    def __init__(self, size: Size, *, base: float = 1_000.0, std: float = 0.05):
        super().__init__(size)
        checked_base(base, hint=1_000)
        if not 0 < std < float("inf"):
            raise ConfigError(f"std must be a positive number, got {std}", hint="positions_options.std=0.05")
        self.frequency = nn.Parameter(base ** (-torch.arange(WAVES) / (WAVES - 1)))
        self.expand = nn.Linear(2 * WAVES, HIDDEN)
        self.output = nn.Linear(HIDDEN, size.d_model)
        with torch.no_grad():
            nn.init.zeros_(self.output.bias)
            drawn = self._vectors(torch.arange(max(2, size.max_seq_len), dtype=torch.float32))
            self.output.weight.mul_(std / drawn.std())

    def embed(self, x_TD: Float[Tensor, "*T D"], p: Positions) -> Float[Tensor, "*T D"]:
        exact = torch.promote_types(x_TD.dtype, torch.float32)
        return x_TD + self._vectors(p.coordinate.to(exact)).to(x_TD.dtype)

    def _vectors(self, t: Float[Tensor, "*T"]) -> Float[Tensor, "*T D"]:
        frequency, w1, b1, w2, b2 = (parameter.to(t.dtype) for parameter in self.parameters())
        angle = t.unsqueeze(-1) * frequency
        waves = torch.cat([angle.cos(), angle.sin()], -1) / WAVES**0.5
        return nn.functional.linear(nn.functional.gelu(nn.functional.linear(waves, w1, b1)), w2, b2)

    @classmethod
    def num_parameters(cls, size: Size) -> int:
        return WAVES + (2 * WAVES + 1) * HIDDEN + (HIDDEN + 1) * size.d_model
