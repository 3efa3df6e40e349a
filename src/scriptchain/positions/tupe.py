"""TUPE: positions meet positions in a product of their own, apart from what tokens say; [CLS] stands outside.

bias[h, i, j] = u[i] . w[j] / sqrt(E) + table[h, j - i], u and w from normed position vectors; where the key is special
one learned number a head, and where the query is, 0.
"""

from typing import final

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ..errors import ConfigError
from ._bias import Bias, Distance, LowRank, rows_of
from ._positions import Positions
from ._protocol import PositionalEncoding, Size
from ._tables import at_coordinate, at_distance


@final
class Tupe(PositionalEncoding):
    """A vector a position, its norm, two projections, a table of distances, and a number a head for [CLS].

    `query`, the distances and the numbers of [CLS] start at 0, which is no positions. The paper has another number
    where the query is [CLS]: the same for all of its keys, so that no softmax sees it. It divides content and positions
    by sqrt(2E) and shares all of it between layers (`positions_shared`); ours divides by sqrt(E), a factor
    of the projections. Where the paper has T5's buckets, ours learns each distance up to `reach`, by default all.

    *Raises*: ConfigError if `reach` is less than 1.
    *Source*: arXiv 2006.15595.
    """

    acts = "position by position"
    every_layer = True
    learns = "(max_seq_len + 2 + 2 x d_model) x d_model + 2 x max_seq_len x num_heads"
    shift_invariant = False
    direction_aware = True
    length_limit = "max_seq_len"
    encoder_form = "ours"
    source = "arXiv 2006.15595"

    def __init__(self, size: Size, *, reach: int | None = None):
        super().__init__(size)
        reach = size.max_seq_len - 1 if reach is None else reach
        if reach < 1:
            raise ConfigError(
                f"reach must be at least 1, got {reach}", hint=f"positions_options.reach={size.max_seq_len - 1}"
            )
        width = size.d_model
        self.limit = size.max_seq_len
        self.vectors = nn.Parameter(torch.empty(size.max_seq_len, width).normal_(std=1.0))
        self.norm_weight, self.norm_bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))
        self.query = nn.Parameter(torch.zeros(width, width))
        self.key = nn.Parameter(torch.empty(width, width).normal_(std=width**-0.5))
        self.table = nn.Parameter(torch.zeros(size.num_heads, 2 * reach + 1))
        self.special = nn.Parameter(torch.zeros(size.num_heads))  # of a special key

    def bias(
        self, x_TD: Float[Tensor, "*T D"], q_THE: Float[Tensor, "*T H E"], k_THE: Float[Tensor, "*T H E"], p: Positions
    ) -> Bias:
        exact = torch.promote_types(q_THE.dtype, torch.float32)
        normed_RD = nn.functional.layer_norm(
            self.vectors.to(exact), self.vectors.shape[1:], self.norm_weight.to(exact), self.norm_bias.to(exact)
        )
        u_THE, w_THE = (
            at_coordinate(nn.functional.linear(normed_RD, weight.to(exact)), p.coordinate).unflatten(
                -1, (self.size.num_heads, -1)
            )
            for weight in (self.query, self.key)
        )
        tied = LowRank(u_THE * q_THE.shape[-1] ** -0.5, w_THE, p) + Distance(
            lambda delta: at_distance(self.table, delta), p, like=q_THE
        )
        return Untied(tied, self.special.to(exact), rows_of(p.special, p))

    @classmethod
    def num_parameters(cls, size: Size) -> int:
        return (size.max_seq_len + 2 + 2 * size.d_model) * size.d_model + 2 * size.max_seq_len * size.num_heads


class Untied(Bias):
    """Another bias, save where a special token is the query or the key."""

    def __init__(self, tied: Bias, numbers_H: Float[Tensor, "H"], special_BL: Bool[Tensor, "B L"]):
        self.tied = tied
        self.numbers = numbers_H
        self.special = special_BL

    def dense(self) -> Float[Tensor, "batch heads queries keys"]:
        keys = torch.where(self.special[:, None, None, :], self.numbers[:, None, None], self.tied.dense())
        return keys.masked_fill(self.special[:, None, :, None], 0)
