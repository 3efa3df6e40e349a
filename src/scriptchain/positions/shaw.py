"""Shaw's relative positions: a learned vector of each distance beside every key and every value.

score[i, j] = q[i] . (k[j] + key[j - i]) / sqrt(E); output[i] = sum over j of weight[i, j] (v[j] + value[j - i]).
"""

from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..errors import ConfigError
from ._bias import Bias, Profile, RelativeValue
from ._positions import Positions
from ._protocol import PositionalEncoding, Size
from ._tables import at_distance


@final
class Shaw(PositionalEncoding):
    """Two tables of `2 reach + 1` vectors of a head's width, which all heads share; both start at 0, no positions.

    All that is farther than `reach` shares the last vector of its side. `values=False` leaves the second table out,
    and with it the need to form the attention weights.

    *Raises*: ConfigError if `reach` is less than 1.
    *Source*: arXiv 1803.02155.
    """

    acts = "content by distance"
    every_layer = True
    learns = "66 x d_model / num_heads"
    direction_aware = True
    source = "arXiv 1803.02155"

    def __init__(self, size: Size, *, reach: int = 16, values: bool = True):
        super().__init__(size)
        if reach < 1:
            raise ConfigError(f"reach must be at least 1, got {reach}", hint="positions_options.reach=16")
        width = size.d_model // size.num_heads
        self.key = nn.Parameter(torch.zeros(width, 2 * reach + 1))
        self.value = nn.Parameter(torch.zeros(width, 2 * reach + 1)) if values else None

    def bias(
        self, x_TD: Float[Tensor, "*T D"], q_THE: Float[Tensor, "*T H E"], k_THE: Float[Tensor, "*T H E"], p: Positions
    ) -> Bias:
        scores = Profile(q_THE * q_THE.shape[-1] ** -0.5, lambda delta: at_distance(self.key, delta).unsqueeze(0), p)
        value = self.value
        if value is None:
            return scores
        return scores + RelativeValue(lambda delta: at_distance(value, delta), p, like=q_THE)

    @classmethod
    def num_parameters(cls, size: Size) -> int:
        return 66 * (size.d_model // size.num_heads)
