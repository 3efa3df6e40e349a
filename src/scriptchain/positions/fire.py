"""FIRE: a small network of how far a key is, as a share of how far it could be.

bias[h, i, j] = mlp(sign(j - i) psi(|j - i|) / psi(max(n - 1, threshold)))[h], psi(x) = ln(1 + c x), n tokens.
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
class Fire(PositionalEncoding):
    """Learned `c` and `threshold`, kept positive by their logarithm, and one hidden layer of `hidden` GELU units.

    The paper's form is causal and divides by the query's own index. Ours divides by the longest distance of the text,
    one number a text, and gives the network the sign, so that it is a function of distance and length for both sides.
    Texts of at most `threshold` tokens are all divided by the same. The last layer starts at 0, which is no positions.

    *Raises*: ConfigError for a hidden layer without units or a threshold below 1.
    *Source*: arXiv 2310.04418.
    """

    acts = "bias by distance"
    every_layer = True
    learns = "66 + 32 x num_heads"
    direction_aware = True
    encoder_form = "ours"
    source = "arXiv 2310.04418"

    def __init__(self, size: Size, *, hidden: int = 32, threshold: float = 64.0):
        super().__init__(size)
        if hidden < 1:
            raise ConfigError(f"hidden must be at least 1, got {hidden}", hint="positions_options.hidden=32")
        if not 1 <= threshold < float("inf"):
            raise ConfigError(f"threshold must be at least 1, got {threshold}", hint="positions_options.threshold=64")
        self.log_c = nn.Parameter(torch.tensor([0.1]).log())
        self.log_threshold = nn.Parameter(torch.tensor([threshold]).log())
        self.expand = nn.Linear(1, hidden)
        self.output = nn.Linear(hidden, size.num_heads, bias=False)  # the softmax would not see it
        nn.init.zeros_(self.output.weight)

    def bias(
        self, x_TD: Float[Tensor, "*T D"], q_THE: Float[Tensor, "*T H E"], k_THE: Float[Tensor, "*T H E"], p: Positions
    ) -> Bias:
        return Distance(self._curve, p, like=q_THE, by_length=True)

    def _curve(self, delta: Float[Tensor, "*S"], n: Float[Tensor, "*N"]) -> Float[Tensor, "H ..."]:
        log_c, log_threshold, w1, b1, w2 = (parameter.to(delta.dtype) for parameter in self.parameters())
        c = log_c.exp()
        longest = torch.maximum(n - 1, log_threshold.exp())
        share = delta.sign() * (c * delta.abs()).log1p() / (c * longest).log1p()
        units = nn.functional.gelu(nn.functional.linear(share.unsqueeze(-1), w1, b1))
        return torch.movedim(nn.functional.linear(units, w2), -1, 0)

    @classmethod
    def num_parameters(cls, size: Size) -> int:
        return 66 + 32 * size.num_heads
