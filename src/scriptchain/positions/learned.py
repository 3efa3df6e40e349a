"""Learned absolute positions: one trained vector a position, added to the stream.

x[t] + table[index of t]. A row is trained only by texts that reach it, and there is no row beyond the last.
"""

from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..errors import ConfigError
from ._positions import Positions
from ._protocol import PositionalEncoding, Size
from ._tables import at_coordinate


@final
class Learned(PositionalEncoding):
    """A table of `num_positions` vectors of `d_model`, drawn from N(0, std).

    `std` should match the scale of what it is added to: rows of 0.01 beside unit tokens are one ten-thousandth of
    the stream's variance, and the first layer cannot tell them from noise.

    *Raises*: ConfigError if the table is shorter than max_seq_len.
    *Source*: arXiv 1810.04805 (BERT); arXiv 1705.03122.
    """

    acts = "added to the stream"
    learns = "num_positions x d_model"
    shift_invariant = False
    direction_aware = True
    length_limit = "num_positions"
    source = "arXiv 1810.04805"

    def __init__(self, size: Size, *, std: float = 0.02, num_positions: int | None = None):
        super().__init__(size)
        rows = size.max_seq_len if num_positions is None else num_positions
        if rows < size.max_seq_len:
            raise ConfigError(
                f"num_positions must be at least max_seq_len {size.max_seq_len}, got {rows}",
                hint=f"positions_options.num_positions={size.max_seq_len}",
            )
        if not 0 < std < float("inf"):
            raise ConfigError(f"std must be a positive number, got {std}", hint="positions_options.std=0.02")
        self.limit = rows
        self.table = nn.Parameter(torch.empty(rows, size.d_model).normal_(std=std))

    def embed(self, x_TD: Float[Tensor, "*T D"], p: Positions) -> Float[Tensor, "*T D"]:
        return x_TD + at_coordinate(self.table, p.coordinate).to(x_TD.dtype)

    def resized(self, max_seq_len: int) -> "Learned":
        """The same curve sampled at another number of rows: first and last rows stay, between them linear."""
        size = Size(self.size.d_model, self.size.num_heads, self.size.num_layers, max_seq_len)
        other = Learned(size, std=1.0)
        with torch.no_grad():
            other.table.copy_(_interpolate(self.table, max_seq_len))
        return other.to(self.table)

    @classmethod
    def num_parameters(cls, size: Size) -> int:
        return size.max_seq_len * size.d_model


def _interpolate(table: Float[Tensor, "R D"], rows: int) -> Float[Tensor, "S D"]:
    stretched = nn.functional.interpolate(table.T.unsqueeze(0), size=rows, mode="linear", align_corners=True)
    return stretched.squeeze(0).T
