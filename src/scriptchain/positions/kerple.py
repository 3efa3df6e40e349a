"""KERPLE: scores fall with the logarithm or a power of distance, both learned for each head and side.

log: -r1 ln(1 + r2 |i - j|)      power: -r1 |i - j|^r2, 0 < r2 < 2
"""

from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..errors import ConfigError
from ._bias import Bias, Distance
from ._positions import Positions
from ._protocol import PositionalEncoding, Size


@final
class Kerple(PositionalEncoding):
    """Two learned numbers a head and side, kept in their range by smooth maps, never by clamping the data.

    The paper's form is causal, one r1 and r2 a head; ours learns them for keys to the left and to the right, so that
    a text can differ from its reversal. It starts as the paper's curve with r1 = r2 = 1 to the left and r1 = 1/2 to
    the right; `kind` power starts as linear penalties (r2 = 1) of those slopes.

    *Raises*: ConfigError for a kind that does not exist.
    *Source*: arXiv 2205.09921.
    """

    acts = "bias by distance"
    every_layer = True
    learns = "4 x num_heads"
    direction_aware = True
    encoder_form = "ours"
    source = "arXiv 2205.09921"

    def __init__(self, size: Size, *, kind: str = "log"):
        super().__init__(size)
        if kind not in ("log", "power"):
            raise ConfigError(f"kind must be log or power, got {kind!r}")
        self.kind = kind
        heads = size.num_heads
        self.log_r1 = nn.Parameter(torch.tensor([1.0, 0.5]).log().expand(heads, -1).clone())  # left, right
        self.raw_r2 = nn.Parameter(torch.zeros(heads, 2))

    def bias(
        self, x_TD: Float[Tensor, "*T D"], q_THE: Float[Tensor, "*T H E"], k_THE: Float[Tensor, "*T H E"], p: Positions
    ) -> Bias:
        return Distance(self._curve, p, like=q_THE)

    def _curve(self, delta: Float[Tensor, "*S"]) -> Float[Tensor, "H *S"]:
        shape = (self.size.num_heads, 2, *[1] * delta.dim())
        r1 = self.log_r1.to(delta.dtype).exp().reshape(shape)
        raw = self.raw_r2.to(delta.dtype).reshape(shape)
        left, distance = delta < 0, delta.abs()
        r1 = torch.where(left, r1[:, 0], r1[:, 1])
        raw = torch.where(left, raw[:, 0], raw[:, 1])
        if self.kind == "log":
            return -r1 * torch.log1p(raw.exp() * distance)
        # The power of 0 has an infinite slope for exponents below 1: 1 stands in for it, and the result is 0.
        power = torch.where(distance == 0, 1, distance) ** (2 * raw.sigmoid())
        return -r1 * torch.where(distance == 0, 0, power)

    @classmethod
    def num_parameters(cls, size: Size) -> int:
        return 4 * size.num_heads
