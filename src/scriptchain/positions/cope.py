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
        own, ahead = _sides(p)
        gates = (scale * (q_BHQE @ k_BHKE.transpose(-1, -2))).sigmoid().masked_fill(~own, 0)
        upto = gates.cumsum(-1)
        here, gate = (t.diagonal(dim1=-2, dim2=-1).unsqueeze(-1) for t in (upto, gates))
        last = self.left.shape[1] - 1
        count = torch.where(ahead, upto - here + gate, here - upto + gates).clamp(0, last)
        below = count.floor()
        # Both tables stand in one, the right behind the left, so that each count is looked up once.
        products = scale * (q_BHQE @ torch.cat([self.left, self.right], 1).to(exact))
        side = torch.where(ahead, last + 1, 0)
        low = products.gather(-1, below.long() + side)
        high = products.gather(-1, count.ceil().long() + side)
        return Dense(low + (count - below) * (high - low))

    @classmethod
    def num_parameters(cls, size: Size) -> int:
        return 128 * (size.d_model // size.num_heads)


def _sides(p: Positions) -> tuple[Bool[Tensor, "B 1 Q K"], Bool[Tensor, "B 1 Q K"]]:
    """Which keys are of the query's own text, and which stand behind it in reading order."""
    index, segment, valid = (rows_of(t, p) for t in (p.index, p.segment, p.valid))
    own = (segment.unsqueeze(-1) == segment.unsqueeze(-2)) & valid.unsqueeze(-2)
    return own.unsqueeze(1), (index.unsqueeze(-2) > index.unsqueeze(-1)).unsqueeze(1)
