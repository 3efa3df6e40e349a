"""Positions once more before every later layer, where depth would fade what was added before the first."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..config import Config
from ..errors import ConfigError
from ..positions import Composed, PositionalEncoding


class Reinjection(nn.Module):
    """x + gate * N(added) before one layer: a norm of its own and a scalar that starts at 0."""

    def __init__(self, config: Config):
        super().__init__()
        self.norm = nn.LayerNorm(config.d_model)
        self.gate = nn.Parameter(torch.zeros(1))

    def forward(self, x_TD: Float[Tensor, "*T D"], added_TD: Float[Tensor, "*T D"]) -> Float[Tensor, "*T D"]:
        return x_TD + self.gate * self.norm(added_TD)
