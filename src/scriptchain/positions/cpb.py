"""Continuous position bias: a small network from distance to one number a head.

bias[h, i, j] = mlp(sign(j - i) ln(1 + |j - i|))[h].
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
class Cpb(PositionalEncoding):
    """An MLP with one hidden layer of `hidden` GELU units, run once for each distance and not for each pair.

    Its last layer starts at 0, which is no positions. The logarithm carries it to distances that no text showed. The
    paper has ReLU, of which a unit with its kink beyond all distances of the data never learns.

    *Raises*: ConfigError for a hidden layer without units.
    *Source*: arXiv 2111.09883 (Swin V2); arXiv 2108.00154.
    """

    acts = "bias by distance"
    every_layer = True
    learns = "64 + 32 x num_heads"
    direction_aware = True
    encoder_form = "ours"
    source = "arXiv 2111.09883"

    def __init__(self, size: Size, *, hidden: int = 32):
        super().__init__(size)
        if hidden < 1:
            raise ConfigError(f"hidden must be at least 1, got {hidden}", hint="positions_options.hidden=32")
        self.expand = nn.Linear(1, hidden)
        self.output = nn.Linear(hidden, size.num_heads, bias=False)  # the softmax would not see it
        nn.init.zeros_(self.output.weight)

    def bias(
        self, x_TD: Float[Tensor, "*T D"], q_THE: Float[Tensor, "*T H E"], k_THE: Float[Tensor, "*T H E"], p: Positions
    ) -> Bias:
        return Distance(self._curve, p, like=q_THE)

    def _curve(self, delta: Float[Tensor, "*S"]) -> Float[Tensor, "H *S"]:
        w1, b1, w2 = (parameter.to(delta.dtype) for parameter in self.parameters())
        far = delta.sign() * delta.abs().log1p()
        units = nn.functional.gelu(nn.functional.linear(far.unsqueeze(-1), w1, b1))
        return torch.movedim(nn.functional.linear(units, w2), -1, 0)

    @classmethod
    def num_parameters(cls, size: Size) -> int:
        return 64 + 32 * size.num_heads
