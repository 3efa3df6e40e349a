"""Distance profiles: each token mixes its own curve of distances from a few learned ones.

bias[h, i, j] = sum over m of mix(x[i])[h, m] * bank[m, j - i], 0 beyond the bank.
"""

from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..errors import ConfigError
from ._bias import Bias, Profile
from ._positions import Positions
from ._protocol import PositionalEncoding, Size
from ._tables import at_distance


@final
class DistanceProfile(PositionalEncoding):
    """`profiles` learned curves from -`reach` to `reach`, shared by all heads, and a linear map from token to mixture.

    A dynamic convolution's kernel, predicted from the token it stands on, as a term of the scores: ours for both
    sides; a released causal model without a paper (Inkling) has the same form. The curves start at 0, no positions.

    *Raises*: ConfigError if `reach` or `profiles` is less than 1.
    *Source*: arXiv 1901.10430 for kernels predicted from the token.
    """

    acts = "content by distance"
    every_layer = True
    learns = "8 x (d_model + 1) x num_heads + 1,032"
    direction_aware = True
    encoder_form = "ours"
    source = "arXiv 1901.10430"

    def __init__(self, size: Size, *, reach: int = 64, profiles: int = 8):
        super().__init__(size)
        for name, value in (("reach", reach), ("profiles", profiles)):
            if value < 1:
                raise ConfigError(f"{name} must be at least 1, got {value}", hint=f"positions_options.{name}=8")
        self.reach = reach
        self.bank = nn.Parameter(torch.zeros(profiles, 2 * reach + 1))
        self.mix = nn.Linear(size.d_model, size.num_heads * profiles)
        nn.init.normal_(self.mix.weight, std=size.d_model**-0.5)
        nn.init.zeros_(self.mix.bias)

    def bias(
        self, x_TD: Float[Tensor, "*T D"], q_THE: Float[Tensor, "*T H E"], k_THE: Float[Tensor, "*T H E"], p: Positions
    ) -> Bias:
        exact = torch.promote_types(x_TD.dtype, torch.float32)
        mixture = nn.functional.linear(x_TD.to(exact), self.mix.weight.to(exact), self.mix.bias.to(exact))
        return Profile(mixture.unflatten(-1, (self.size.num_heads, -1)), self._basis, p)

    def _basis(self, delta: Float[Tensor, "*S"]) -> Float[Tensor, "1 M *S"]:
        return torch.where(delta.abs() <= self.reach, at_distance(self.bank, delta), 0).unsqueeze(0)

    @classmethod
    def num_parameters(cls, size: Size) -> int:
        return 8 * (size.d_model + 1) * size.num_heads + 1_032
