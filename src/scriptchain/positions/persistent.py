"""Persistent positions: a small learned function of the coordinate, born as sinusoidal waves, added to the stream.

x[t] + scale (w + W2 gelu(W1 w + b1) + b2),   w = [sin(t f), cos(t f)], f, W1, b1, W2 and b2 learned.
"""

from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..errors import ConfigError
from ._positions import Positions
from ._protocol import PositionalEncoding, Size
from ._waves import checked_base, frequencies


@final
class Persistent(PositionalEncoding):
    """Waves of learned frequencies and an MLP of `hidden` GELU units beside them, in float32 at every call.

    `W2` and `b2` start at 0 and the frequencies geometrically spaced, so that at birth it is `sinusoidal` at the scale
    of the tokens, to the bit. No length is out of reach. It is the first of three parts of a design of ours: with
    `positions_reinjected` it comes again before each later layer, behind a norm and a gate, and `persistent+cpb` adds
    a learned bias by signed distance. Both start at nothing, and each can be left out.

    *Raises*: ConfigError for an odd d_model, a hidden layer without units or a base that is not above 1.
    *Source*: ours; a learned function of the coordinate as in arXiv 2003.09229 (FLOATER) and 2106.02795, a norm of its
    own at each layer as in arXiv 2212.05262 (LaPE).
    """

    acts = "added to the stream"
    learns = "65.5 x d_model + 32"
    shift_invariant = False
    direction_aware = True
    encoder_form = "ours"
    source = "ours"

    def __init__(self, size: Size, *, base: float = 10_000.0, hidden: int = 32):
        super().__init__(size)
        width = size.d_model
        if width % 2:
            raise ConfigError(f"d_model must be even for waves, a sine and a cosine each, got {width}")
        if hidden < 1:
            raise ConfigError(f"hidden must be at least 1 unit, got {hidden}", hint="positions_options.hidden=32")
        start = frequencies(checked_base(base), width // 2, torch.device("cpu"), torch.float32)
        self.frequency = nn.Parameter(start)
        self.expand = nn.Linear(width, hidden)
        self.output = nn.Linear(hidden, width)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def embed(self, x_TD: Float[Tensor, "*T D"], p: Positions) -> Float[Tensor, "*T D"]:
        exact = torch.promote_types(x_TD.dtype, torch.float32)
        frequency, w1, b1, w2, b2 = (parameter.to(exact) for parameter in self.parameters())
        angle = p.coordinate.unsqueeze(-1).to(exact) * frequency
        waves_TD = torch.cat([angle.sin(), angle.cos()], -1)
        units = nn.functional.gelu(nn.functional.linear(waves_TD, w1, b1))
        added_TD = self.size.embedding_std * (waves_TD + nn.functional.linear(units, w2, b2))
        return x_TD + added_TD.to(x_TD.dtype)

    @classmethod
    def num_parameters(cls, size: Size, *, hidden: int = 32) -> int:
        return size.d_model // 2 + (size.d_model + 1) * hidden + (hidden + 1) * size.d_model
