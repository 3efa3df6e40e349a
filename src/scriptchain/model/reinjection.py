"""Positions once more before every later layer, where depth would fade what was added before the first."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..config import Config
from ..errors import ConfigError
from ..positions import Composed, PositionalEncoding


class Reinjection(nn.Module):
    """x + (gate / num_layers) N(added) before one layer: a layer norm and a scalar of its own, which starts at 0.

    What is added again points the same way at every layer, so it sums up: twelve whole copies leave 1 % of the stream's
    variance to the words. With gates of 1 all layers together add one. *Source*: arXiv 2212.05262 for a norm of its own
    at each layer; the gate and its size are ours.
    """

    def __init__(self, config: Config):
        super().__init__()
        self.norm = nn.LayerNorm(config.d_model)
        self.gate = nn.Parameter(torch.zeros(1))
        self.size = 1 / config.num_layers

    def forward(self, x_TD: Float[Tensor, "*T D"], added_TD: Float[Tensor, "*T D"]) -> Float[Tensor, "*T D"]:
        return x_TD + self.size * self.gate * self.norm(added_TD)


def check_that_it_adds(encoding: PositionalEncoding, name: str) -> None:
    """Raises ConfigError if the first layer's encoding adds nothing to the stream, so that nothing can come again."""
    parts = encoding.each() if isinstance(encoding, Composed) else [encoding]
    if all(type(part).embed is PositionalEncoding.embed for part in parts):
        raise ConfigError(
            f"positions_reinjected must have positions that are added to the stream, got {name!r}, which adds "
            "nothing before the first layer",
            hint="positions_reinjected=false",
        )
