"""Learned numbers by coordinate or distance: whole ones read a row, those between two rows a mixture of both."""

from jaxtyping import Float, Num
from torch import Tensor, nn

from ..errors import UsageError


def at_distance(table: Float[Tensor, "*X columns"], delta: Float[Tensor, "*S"]) -> Float[Tensor, "..."]:
    """Columns -reach .. reach of the table at each distance, in the distances' number type.

    What is farther than `reach`, half of the columns, has the last of its side.
    """
    reach = (table.shape[-1] - 1) // 2
    place = delta.clamp(-reach, reach) + reach
    below = place.floor()
    table = table.to(delta.dtype)
    left, right = table[..., below.long()], table[..., place.ceil().long()]
    return left + (place - below) * (right - left)


def at_coordinate(table_RD: Float[Tensor, "R D"], coordinate_T: Num[Tensor, "*T"]) -> Float[Tensor, "*T D"]:
    """Row c of the table for each coordinate c. Raises UsageError where there is none."""
    try:
        if not coordinate_T.is_floating_point():
            return nn.functional.embedding(coordinate_T.long(), table_RD)
        below = coordinate_T.floor()
        left = nn.functional.embedding(below.long(), table_RD)
        right = nn.functional.embedding(coordinate_T.ceil().long(), table_RD)
        return left + (coordinate_T - below).unsqueeze(-1).to(left.dtype) * (right - left)
    except IndexError:
        low, high = float(coordinate_T.min()), float(coordinate_T.max())
        raise UsageError(
            f"coordinates must be in 0 .. {len(table_RD) - 1}, the rows of the table, got {low:g} .. {high:g}",
            hint="cut the texts, or build the encoding for a greater max_seq_len",
        ) from None
