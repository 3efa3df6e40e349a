"""How a branch joins the stream: what keeps depth alive, or does not.

x is the stream, f the branch, N a layer norm:  pre_norm  x + f(N(x))     post_norm  N(x + f(x))
"""

from collections.abc import Callable
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor, nn

Branch = Callable[[Float[Tensor, "*T D"]], Float[Tensor, "*T D"]]


class PreNorm(nn.Module):
    """The norm stands inside the branch, so the stream itself is never rescaled; one more norm ends the stack.

    *Source*: arXiv 2002.04745.
    """

    normed_output: ClassVar[bool] = False

    def __init__(self, d_model: int, dropout: float):
        super().__init__()
        self.norm = nn.LayerNorm(d_model)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x_TD: Float[Tensor, "*T D"], branch: Branch) -> Float[Tensor, "*T D"]:
        return x_TD + self.dropout(branch(self.norm(x_TD)))


class PostNorm(nn.Module):
    """The norm stands on the stream, after each addition: the first transformer's form. *Source*: arXiv 1706.03762."""

    normed_output: ClassVar[bool] = True

    def __init__(self, d_model: int, dropout: float):
        super().__init__()
        self.norm = nn.LayerNorm(d_model)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x_TD: Float[Tensor, "*T D"], branch: Branch) -> Float[Tensor, "*T D"]:
        return self.norm(x_TD + self.dropout(branch(x_TD)))


RESIDUALS: dict[str, type[PreNorm] | type[PostNorm]] = {"pre_norm": PreNorm, "post_norm": PostNorm}
