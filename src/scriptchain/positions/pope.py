"""PoPE: what a channel says is its size, where it stands is its angle, and neither disturbs the other.

score = sum over channels c of softplus(q_c) softplus(k_c) cos((j - i) w_c + shift_c).
"""

from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ._positions import Positions
from ._protocol import PositionalEncoding, Size
from ._waves import checked_base, frequencies


@final
class Pope(PositionalEncoding):
    """Polar positions: each channel of a head turns, w_c = base^(-c / width); queries and keys become twice as wide.

    `shift`, an angle of each head and channel, starts at 0, where the score of two tokens does not know which of them
    is first; it is learned without bounds, since a cosine repeats (the paper keeps it in one turn). `learnable=False`
    leaves it there, and the encoding symmetric.

    *Raises*: ConfigError for a base that is not above 1.
    *Source*: arXiv 2509.10534.
    """

    acts = "rotates queries and keys"
    every_layer = True
    learns = "d_model"
    direction_aware = True
    source = "arXiv 2509.10534"

    def __init__(self, size: Size, *, base: float = 10_000.0, learnable: bool = True):
        super().__init__(size)
        self.base = checked_base(base)
        width = size.d_model // size.num_heads
        self.shift = nn.Parameter(torch.zeros(size.num_heads, width)) if learnable else None

    def rotate(
        self, q_THE: Float[Tensor, "*T H E"], k_THE: Float[Tensor, "*T H E"], p: Positions
    ) -> tuple[Float[Tensor, "*T H F"], Float[Tensor, "*T H F"]]:
        exact = torch.promote_types(q_THE.dtype, torch.float32)
        width = q_THE.shape[-1]
        frequency = frequencies(self.base, width, q_THE.device, exact)
        angle_THE = p.coordinate.to(exact)[..., None, None] * frequency
        shifted_THE = angle_THE if self.shift is None else angle_THE + self.shift.to(exact)
        return _polar(q_THE, angle_THE), _polar(k_THE, shifted_THE)

    @classmethod
    def num_parameters(cls, size: Size) -> int:
        return size.d_model


def _polar(x_THE: Float[Tensor, "*T H E"], angle_THE: Float[Tensor, "*T #H E"]) -> Float[Tensor, "*T H F"]:
    length_THE = nn.functional.softplus(x_THE.to(angle_THE.dtype))
    return torch.cat([length_THE * angle_THE.cos(), length_THE * angle_THE.sin()], -1).to(x_THE.dtype)
