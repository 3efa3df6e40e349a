"""Transformer-XL's relative positions: queries read waves of the distance through a learned matrix.

score[i, j] = ((q[i] + u) . k[j] + (q[i] + v) . W s(i - j)) / sqrt(E), s the sinusoidal vector.
"""

from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..errors import ConfigError
from ._bias import Bias, LowRank, Profile
from ._positions import Positions
from ._protocol import PositionalEncoding, Size
from ._waves import checked_base, frequencies


@final
class TransformerXl(PositionalEncoding):
    """`project` (W) and `content` (u) start at 0, which is no positions; `position` (v) at N(0, 0.02).

    Waves are computed in float32 from every distance to the left and to the right, sines in the first half of the
    width, so that no length is out of reach. The paper's model is causal; its formula has no side and is kept.

    *Raises*: ConfigError for an odd d_model or a base that is not above 1.
    *Source*: arXiv 1901.02860.
    """

    acts = "content by distance"
    every_layer = True
    learns = "d_model x d_model + 2 x d_model"
    direction_aware = True
    source = "arXiv 1901.02860"

    def __init__(self, size: Size, *, base: float = 10_000.0):
        super().__init__(size)
        if size.d_model % 2:
            raise ConfigError(f"d_model must be even for sinusoidal vectors, got {size.d_model}")
        self.base = checked_base(base)
        width = size.d_model // size.num_heads
        self.project = nn.Parameter(torch.zeros(size.d_model, size.d_model))
        self.content = nn.Parameter(torch.zeros(size.num_heads, width))
        self.position = nn.Parameter(torch.empty(size.num_heads, width).normal_(std=0.02))

    def bias(
        self, x_TD: Float[Tensor, "*T D"], q_THE: Float[Tensor, "*T H E"], k_THE: Float[Tensor, "*T H E"], p: Positions
    ) -> Bias:
        exact = torch.promote_types(q_THE.dtype, torch.float32)
        scale = q_THE.shape[-1] ** -0.5
        of_keys = LowRank((scale * self.content.to(exact)).expand(q_THE.shape), k_THE.to(exact), p)
        return of_keys + Profile(scale * (q_THE.to(exact) + self.position.to(exact)), self._basis, p)

    def _basis(self, delta: Float[Tensor, "*S"]) -> Float[Tensor, "H E *S"]:
        half = self.size.d_model // 2
        angle = -delta.unsqueeze(-1) * frequencies(self.base, half, delta.device, delta.dtype)
        waves = nn.functional.linear(torch.cat([angle.sin(), angle.cos()], -1), self.project.to(delta.dtype))
        return torch.movedim(waves, -1, 0).unflatten(0, (self.size.num_heads, -1))

    @classmethod
    def num_parameters(cls, size: Size) -> int:
        return size.d_model**2 + 2 * size.d_model
