"""Geometrically spaced frequencies, which most waves and rotations share."""

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import ConfigError


def checked_base(base: float, hint: int = 10_000) -> float:
    """The base itself. Raises ConfigError unless it is a number above 1."""
    if not 1 < base < float("inf"):
        raise ConfigError(f"base must be a number greater than 1, got {base}", hint=f"positions_options.base={hint}")
    return base


def frequencies(
    base: float, count: int, device: torch.device, dtype: torch.dtype, *, of: int | None = None
) -> Float[Tensor, "count"]:
    """The first `count` of base^(-c / n), n = `of` or `count`, as exact as the number type holds them.

    Computed at every call and kept in no buffer: `.to(bfloat16)` would round them and move every angle.
    """
    return (base ** (torch.arange(count, device=device, dtype=torch.float64) / -(of or count))).to(dtype)
