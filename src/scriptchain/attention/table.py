"""A bias of one's own: a number for each head and distance."""

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import UsageError
from ..positions import Bias, Distance, Positions, Sum


class Toeplitz(Bias):
    """`table[h, j - i + L - 1]` is what query i adds to its score of key j; distances count tokens of the text.

    `table` is `(num_heads, 2 L - 1)`, L at least the longest text; gradients reach it. It knows no positions: `attend`
    gives it those that it is called with.

    *Raises*: UsageError if the number of columns is even; in `attend` if heads or columns do not fit, or if the
    coordinates are not the tokens' own indices.
    """

    def __init__(self, table: Float[Tensor, "heads distances"]):
        if table.shape[1] % 2 == 0:
            raise UsageError(
                f"table must have 2 L - 1 columns, an odd number, got {table.shape[1]}",
                hint="the middle column is distance 0",
            )
        self.table = table

    def dense(self) -> Float[Tensor, "1 heads L L"]:
        """The term of a text of L tokens."""
        length = (self.table.shape[1] + 1) // 2
        return self.table.unfold(1, length, 1).flip(1)[None]

    def placed(self, p: Positions, num_heads: int) -> Distance:
        """The same numbers as a function of the distance between two tokens of `p`."""
        heads, columns = self.table.shape
        if heads != num_heads:
            raise UsageError(f"table must have a row for each of {num_heads} heads, got {heads}")
        if p.coordinate is not p.index:
            raise UsageError(
                "coordinates must count tokens for a table, got others",
                hint="positions.at(positions.index), or scriptchain.positions.Toeplitz, which interpolates",
            )
        middle = columns // 2
        # Compiled code cannot ask how long the longest text is: there the width of the batch must fit.
        longest = p.index.shape[-1] if torch.compiler.is_compiling() else int(p.length.max())
        if longest > middle + 1:
            raise UsageError(
                f"table must have at least {2 * longest - 1} columns for a text of {longest} tokens, got {columns}",
                hint="a longer table, or shorter texts",
            )
        # Beyond the table are pads and other texts alone, which nobody reads.
        return Distance(lambda delta: self.table[:, delta.long().clamp(-middle, middle) + middle], p, like=self.table)


def placed(bias: Bias | None, p: Positions, num_heads: int) -> Bias | None:
    """The bias with every table of one's own at the positions of this call."""
    if isinstance(bias, Sum):
        return Sum(tuple(t.placed(p, num_heads) if isinstance(t, Toeplitz) else t for t in bias.terms))
    return bias.placed(p, num_heads) if isinstance(bias, Toeplitz) else bias
