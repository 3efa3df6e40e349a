"""How a branch joins the stream: what keeps depth alive, or does not. One form a class, one row in the table.

x is the stream, f the branch, N a layer norm, T the number of layers, a a learned scalar:

    pre_norm   x + f(N(x))                  deep_norm  N((2T)^(1/4) x + f(x))
    post_norm  N(x + f(x))                  rezero     x + a f(x)
"""

from collections.abc import Callable
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..config import Config

Branch = Callable[[Float[Tensor, "*T D"]], Float[Tensor, "*T D"]]


class Residual(nn.Module):
    """Base of every form. `normed_output` says that a stack of it needs no norm of its own behind the last layer."""

    normed_output: ClassVar[bool] = False

    def __init__(self, config: Config):
        super().__init__()

    def forward(self, x_TD: Float[Tensor, "*T D"], branch: Branch) -> Float[Tensor, "*T D"]:
        raise NotImplementedError

    @staticmethod
    def branch_gain(num_layers: int) -> float:
        """By what the matrices that carry a branch's values are multiplied at the start."""
        return 1.0


class PreNorm(Residual):
    """The norm stands inside the branch, so the stream itself is never rescaled; one more norm ends the stack.

    *Source*: arXiv 2002.04745.
    """

    def __init__(self, config: Config):
        super().__init__(config)
        self.norm = nn.LayerNorm(config.d_model, config.norm_eps)

    def forward(self, x_TD: Float[Tensor, "*T D"], branch: Branch) -> Float[Tensor, "*T D"]:
        return x_TD + branch(self.norm(x_TD))


class PostNorm(Residual):
    """The norm stands on the stream, after each addition: the first transformer's form. *Source*: arXiv 1706.03762."""

    normed_output = True

    def __init__(self, config: Config):
        super().__init__(config)
        self.norm = nn.LayerNorm(config.d_model, config.norm_eps)

    def forward(self, x_TD: Float[Tensor, "*T D"], branch: Branch) -> Float[Tensor, "*T D"]:
        return self.norm(x_TD + branch(x_TD))


class DeepNorm(Residual):
    """Post-norm with a louder stream and branches that start small, by the depth: the update of the whole stack stays
    bounded. The form of an encoder alone. *Source*: arXiv 2203.00555.
    """

    normed_output = True

    def __init__(self, config: Config):
        super().__init__(config)
        self.stream_gain = (2 * config.num_layers) ** 0.25
        self.norm = nn.LayerNorm(config.d_model, config.norm_eps)

    def forward(self, x_TD: Float[Tensor, "*T D"], branch: Branch) -> Float[Tensor, "*T D"]:
        return self.norm(self.stream_gain * x_TD + branch(x_TD))

    @staticmethod
    def branch_gain(num_layers: int) -> float:
        return (8 * num_layers) ** -0.25


class ReZero(Residual):
    """Every layer starts as the identity and opens by a scalar that it learns; no norm inside the stack.

    The paper has no norm at all. We keep the one behind the last layer: it takes nothing from the identity inside,
    and without it the head would read whatever size the embeddings have. *Source*: arXiv 2003.04887.
    """

    def __init__(self, config: Config):
        super().__init__(config)
        self.gate = nn.Parameter(torch.zeros(1))

    def forward(self, x_TD: Float[Tensor, "*T D"], branch: Branch) -> Float[Tensor, "*T D"]:
        return x_TD + self.gate * branch(x_TD)


RESIDUALS: dict[str, type[Residual]] = {
    "pre_norm": PreNorm, "post_norm": PostNorm, "deep_norm": DeepNorm, "rezero": ReZero,
}  # fmt: skip
