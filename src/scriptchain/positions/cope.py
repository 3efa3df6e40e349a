"""CoPE: a position is the number of tokens that matter on the way, counted by the query itself.

gate[i, k] = sigmoid(q[i] . k[k] / sqrt(E)); n[i, j] = sum of the gates from j to i; score += q[i] . table[n] / sqrt(E).
"""

from typing import final

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ..errors import ConfigError
from ._bias import Bias, Dense, batched, rows_of
from ._positions import Positions
from ._protocol import PositionalEncoding, Size


@final
class Cope(PositionalEncoding):
    """Two tables of `num_positions` vectors, to the left and to the right, shared by all heads; they start at 0.

    The paper's form is causal; ours counts to both sides, both ends included, each side with a table of its own. A
    count between two whole numbers mixes their rows, one beyond the last stays there. It reads no coordinate.

    *Raises*: ConfigError for fewer than 2 positions.
    *Source*: arXiv 2405.18719.
    """

    acts = "content by distance"
    every_layer = True
    learns = "128 x d_model / num_heads"
    direction_aware = True
    encoder_form = "ours"
    source = "arXiv 2405.18719"

    def __init__(self, size: Size, *, num_positions: int = 64):
        super().__init__(size)
        if num_positions < 2:
            raise ConfigError(f"num_positions must be at least 2, got {num_positions}",
                              hint="positions_options.num_positions=64")  # fmt: skip
        width = size.d_model // size.num_heads
        self.left = nn.Parameter(torch.zeros(width, num_positions))
        self.right = nn.Parameter(torch.zeros(width, num_positions))

    def bias(
        self, x_TD: Float[Tensor, "*T D"], q_THE: Float[Tensor, "*T H E"], k_THE: Float[Tensor, "*T H E"], p: Positions
    ) -> Bias:
        exact = torch.promote_types(q_THE.dtype, torch.float32)
        q_BHQE, k_BHKE = batched(q_THE.to(exact), p), batched(k_THE.to(exact), p)
        scale = q_BHQE.shape[-1] ** -0.5
        gates = (scale * (q_BHQE @ k_BHKE.transpose(-1, -2))).sigmoid()
        behind, ahead = _sides(p)
        left = gates.masked_fill(~behind, 0).flip(-1).cumsum(-1).flip(-1)
        right = gates.masked_fill(~ahead, 0).cumsum(-1)
        return Dense(
            torch.where(
                behind, self._read(scale * q_BHQE, left, self.left), self._read(scale * q_BHQE, right, self.right)
            )
        )

    def _read(
        self, q_BHQE: Float[Tensor, "B H Q E"], count: Float[Tensor, "B H Q K"], table_EP: Float[Tensor, "E P"]
    ) -> Float[Tensor, "B H Q K"]:
        products = q_BHQE @ table_EP.to(q_BHQE.dtype)
        count = count.clamp(max=table_EP.shape[1] - 1)
        below = count.floor()
        low, high = products.gather(-1, below.long()), products.gather(-1, count.ceil().long())
        return low + (count - below) * (high - low)

    @classmethod
    def num_parameters(cls, size: Size) -> int:
        return 128 * (size.d_model // size.num_heads)


def _sides(p: Positions) -> tuple[Bool[Tensor, "B 1 Q K"], Bool[Tensor, "B 1 Q K"]]:
    """Which keys of its own text a query has behind it, and which ahead; itself is on both sides."""
    index, segment, valid = (rows_of(t, p) for t in (p.index, p.segment, p.valid))
    own = (segment.unsqueeze(-1) == segment.unsqueeze(-2)) & valid.unsqueeze(-2)
    far = index.unsqueeze(-2) - index.unsqueeze(-1)
    return (own & (far <= 0)).unsqueeze(1), (own & (far >= 0)).unsqueeze(1)
