"""Randomized positions: a text's tokens stand at sorted random coordinates, far beyond any length seen.

coordinate[i] = the (i + 1)-th smallest of n different numbers below num_positions, n the text's tokens.
"""

from typing import final

import torch
from jaxtyping import Int
from torch import Tensor

from ..errors import ConfigError, UsageError
from ._positions import Positions
from ._protocol import PositionalEncoding, Size


@final
class Randomized(PositionalEncoding):
    """A policy: order is kept, distances are not, so that a longer text at test brings no coordinate never seen.

    Every forward of training draws anew for each text. Outside training coordinates are as scattered, and fixed by the
    text's length and `seed`: the same text has the same answer, in an exported model too.

    *Raises*: ConfigError if there are fewer positions than max_seq_len; UsageError for a text of more tokens.
    *Source*: arXiv 2305.16843.
    """

    acts = "moves coordinates"
    length_limit = "num_positions"
    source = "arXiv 2305.16843"

    def __init__(self, size: Size, *, num_positions: int = 2_048, seed: int = 0):
        super().__init__(size)
        if num_positions < size.max_seq_len:
            raise ConfigError(
                f"num_positions must be at least max_seq_len {size.max_seq_len}, got {num_positions}",
                hint=f"positions_options.num_positions={max(2_048, size.max_seq_len)}",
            )
        self.num_positions = num_positions
        order = torch.randperm(num_positions, generator=torch.Generator().manual_seed(seed))
        self.register_buffer("order", order, persistent=False)

    def coordinates(self, max_seq_len: int) -> int | None:
        return self.num_positions

    def place(self, p: Positions) -> Positions:
        if p.packed:
            flat = p.segment.flatten()
            length = torch.zeros(int(flat.max()) + 1, dtype=torch.long, device=flat.device)
            length = length.scatter(0, flat, p.length.flatten()).unsqueeze(1)
            width = int(length.max())
        else:
            length, width = p.length[:, :1], p.index.shape[1]
        if width > self.num_positions:
            raise UsageError(f"a text must have at most num_positions {self.num_positions} tokens, got {width}")
        chosen = self._chosen(length, width)
        beyond = torch.arange(width, device=length.device) >= length
        coordinate = chosen.masked_fill(beyond, self.num_positions).sort(dim=1).values
        return p.at(coordinate[p.segment, p.index])

    def _chosen(self, length: Int[Tensor, "texts 1"], width: int | torch.SymInt) -> Int[Tensor, "texts width"]:
        """So many different coordinates for each text, in random order, of which a shorter one takes the first."""
        order = self.order
        assert isinstance(order, Tensor)
        if not self.training:
            return order[:width].expand(length.shape[0], -1)
        return torch.rand(length.shape[0], self.num_positions).topk(width, dim=1).indices.to(order.device)
