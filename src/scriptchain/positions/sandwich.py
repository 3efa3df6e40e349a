"""Sandwich: the product of two sinusoidal position vectors as a bias, which falls and ripples with distance.

bias[h, i, j] = gain[h, side of j] * sum over k of (cos((j - i) w_k) - 1), w_k = base^(-k / 64), k = 0 .. 63.
"""

from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ._bias import Bias, Distance
from ._positions import Positions
from ._protocol import PositionalEncoding, Size
from ._waves import checked_base, frequencies

WAVES = 64


@final
class Sandwich(PositionalEncoding):
    """Two learned gains a head, one a side, kept positive by their logarithm; the paper fixes one, H / 8h for head h.

    The paper's form is even in the distance. Ours is one-sided by default: even heads start with the paper's gains to
    the left and twice as much to the right, odd heads the other way round, so that a text differs from its reversal.
    `symmetric` keeps one gain a head, `learnable=False` the gains as they are. The 1 under the sum, which no softmax
    sees in the paper's form, makes both sides meet at distance 0.

    *Raises*: ConfigError for a base that is not above 1.
    *Source*: arXiv 2212.10356.
    """

    acts = "bias by distance"
    every_layer = True
    learns = "2 x num_heads"
    direction_aware = True
    encoder_form = "ours"
    source = "arXiv 2212.10356"

    def __init__(self, size: Size, *, base: float = 10_000.0, symmetric: bool = False, learnable: bool = True):
        super().__init__(size)
        self.base = checked_base(base)
        heads = size.num_heads
        gain = (heads / (8 * torch.arange(1, heads + 1))).unsqueeze(1)
        if not symmetric:
            gain = gain.repeat(1, 2)
            gain[0::2, 1] *= 2
            gain[1::2, 0] *= 2
        self.log_gain = nn.Parameter(gain.log()) if learnable else None
        self._start: list[list[float]] = gain.log().tolist()  # not a buffer: `.to(bfloat16)` would round it

    def bias(
        self, x_TD: Float[Tensor, "*T D"], q_THE: Float[Tensor, "*T H E"], k_THE: Float[Tensor, "*T H E"], p: Positions
    ) -> Bias:
        return Distance(self._curve, p, like=q_THE)

    def _curve(self, delta: Float[Tensor, "*S"]) -> Float[Tensor, "H *S"]:
        frequency = frequencies(self.base, WAVES, delta.device, delta.dtype)
        wave = ((delta.unsqueeze(-1) * frequency).cos() - 1).sum(-1)
        log_gain = torch.tensor(self._start, device=delta.device) if self.log_gain is None else self.log_gain
        gain = log_gain.to(delta.dtype).exp().reshape(*log_gain.shape, *[1] * delta.dim())
        return torch.where(delta < 0, gain[:, 0], gain[:, -1]) * wave

    @classmethod
    def num_parameters(cls, size: Size) -> int:
        return 2 * size.num_heads
