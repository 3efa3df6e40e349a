"""A learned number for each head and distance: the freest bias that sees distances alone.

bias[h, i, j] = table[h, clip(j - i, -reach, reach) + reach].
"""

from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..errors import ConfigError
from ._bias import Bias, Distance
from ._positions import Positions
from ._protocol import PositionalEncoding, Size
from ._tables import at_distance


@final
class Toeplitz(PositionalEncoding):
    """A table of shape `(num_heads, 2 reach + 1)` that starts at 0, which is no positions.

    All that is farther than `reach` shares the last value of its side. Distances between whole numbers are
    interpolated.

    *Raises*: ConfigError if `reach` is less than 1.
    *Source*: arXiv 1803.02155 for clipped distances; as a bias of scores arXiv 2103.14030.
    """

    acts = "bias by distance"
    every_layer = True
    learns = "129 x num_heads"
    direction_aware = True
    source = "arXiv 2103.14030"

    def __init__(self, size: Size, *, reach: int = 64):
        super().__init__(size)
        self.reach = reach
        if reach < 1:
            raise ConfigError(f"reach must be at least 1, got {reach}", hint="positions_options.reach=64")
        self.table = nn.Parameter(torch.zeros(size.num_heads, 2 * self.reach + 1))

    def bias(
        self, x_TD: Float[Tensor, "*T D"], q_THE: Float[Tensor, "*T H E"], k_THE: Float[Tensor, "*T H E"], p: Positions
    ) -> Bias:
        return Distance(self._curve, p, like=q_THE)

    def _curve(self, delta: Float[Tensor, "*S"]) -> Float[Tensor, "H *S"]:
        return at_distance(self.table, delta)

    @classmethod
    def num_parameters(cls, size: Size) -> int:
        return 129 * size.num_heads
