"""ALiBi: scores fall linearly with distance, at a slope of its own for each head.

bias[h, i, j] = -slope[h, side of j] * |i - j|.
"""

from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ._bias import Bias, Distance
from ._positions import Positions
from ._protocol import PositionalEncoding, Size
from ._slopes import one_sided_slopes, slopes


@final
class Alibi(PositionalEncoding):
    """Linear distance penalties with learned slopes, kept positive by their logarithm.

    The paper's form is causal. Ours for encoders is one-sided: even heads look left and odd heads right, with the
    paper's slopes on the side they look to and slope 1, steeper than any of the paper's, on the other, so that a text
    differs from its reversal. `symmetric` gives each head one slope for both sides: with mean pooling such a model
    cannot tell a text from its reversal. `learnable=False` keeps the slopes as they are.

    *Source*: arXiv 2108.12409.
    """

    acts = "bias by distance"
    every_layer = True
    learns = "2 x num_heads"
    direction_aware = True
    encoder_form = "ours"
    source = "arXiv 2108.12409"

    def __init__(self, size: Size, *, symmetric: bool = False, learnable: bool = True):
        super().__init__(size)
        heads = size.num_heads
        start = (slopes(heads).unsqueeze(1) if symmetric else one_sided_slopes(heads)).log()  # left, right
        self.log_slope = nn.Parameter(start) if learnable else None
        self._start: list[list[float]] = start.tolist()  # not a buffer: `.to(bfloat16)` would round it

    def bias(
        self, x_TD: Float[Tensor, "*T D"], q_THE: Float[Tensor, "*T H E"], k_THE: Float[Tensor, "*T H E"], p: Positions
    ) -> Bias:
        return Distance(self._curve, p, like=q_THE)

    def _curve(self, delta: Float[Tensor, "*S"]) -> Float[Tensor, "H *S"]:
        log_slope = torch.tensor(self._start, device=delta.device) if self.log_slope is None else self.log_slope
        slope = log_slope.to(delta.dtype).exp().reshape(*log_slope.shape, *[1] * delta.dim())
        return torch.where(delta < 0, slope[:, 0], slope[:, -1]) * -delta.abs()

    @classmethod
    def num_parameters(cls, size: Size) -> int:
        return 2 * size.num_heads
