"""T5's relative bias: one learned number a head for each bucket of distances, buckets widening with distance.

bias[h, i, j] = table[bucket(j - i), h].
"""

import math
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ..errors import ConfigError
from ._bias import Bias, Distance
from ._positions import Positions
from ._protocol import PositionalEncoding, Size


@final
class T5Bias(PositionalEncoding):
    """A table of `num_buckets` - 1 rows, half of them a side; it starts at 0, which is no positions.

    Of a side's buckets half hold one distance each and the others grow logarithmically up to `max_distance`; all
    that is farther shares the last. The bucket of distance 0 to the right can never be asked for and has no row here.
    T5 adds the bias to unscaled scores; ours is in logits like every bias.

    *Raises*: ConfigError for buckets that cannot be halved twice, or a max_distance that they already cover.
    *Source*: arXiv 1910.10683.
    """

    acts = "bias by distance"
    every_layer = True
    learns = "31 x num_heads"
    direction_aware = True
    source = "arXiv 1910.10683"

    def __init__(self, size: Size, *, num_buckets: int = 32, max_distance: int = 128):
        super().__init__(size)
        if num_buckets < 4 or num_buckets % 4:
            raise ConfigError(f"num_buckets must be a multiple of 4, got {num_buckets}",
                              hint="positions_options.num_buckets=32")  # fmt: skip
        if max_distance <= num_buckets // 4:
            raise ConfigError(f"max_distance must be greater than num_buckets / 4, got {max_distance}",
                              hint=f"positions_options.max_distance={num_buckets}")  # fmt: skip
        self.side = num_buckets // 2
        self.max_distance = max_distance
        self.table = nn.Parameter(torch.zeros(num_buckets - 1, size.num_heads))

    def bias(
        self, x_TD: Float[Tensor, "*T D"], q_THE: Float[Tensor, "*T H E"], k_THE: Float[Tensor, "*T H E"], p: Positions
    ) -> Bias:
        return Distance(self._curve, p, like=q_THE)

    def _curve(self, delta: Float[Tensor, "*S"]) -> Float[Tensor, "H *S"]:
        return self.table.T.to(delta.dtype)[:, self._row(delta)]

    def _row(self, delta: Float[Tensor, "*S"]) -> Int[Tensor, "*S"]:
        exact = self.side // 2
        distance = delta.abs()
        # clamped before the logarithm: its branch is not taken below `exact`, but 0 would make it -inf
        share = (distance.clamp(min=exact) / exact).log() / math.log(self.max_distance / exact)
        wide = exact + (share * (self.side - exact)).long()
        bucket = torch.where(distance < exact, distance.long(), wide.clamp(max=self.side - 1))
        return torch.where(delta > 0, self.side - 1 + bucket, bucket)

    @classmethod
    def num_parameters(cls, size: Size) -> int:
        return 31 * size.num_heads
