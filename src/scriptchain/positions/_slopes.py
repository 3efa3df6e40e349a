"""ALiBi's slopes, from which several encodings start."""

import torch
from jaxtyping import Float
from torch import Tensor


def slopes(heads: int) -> Float[Tensor, "heads"]:
    """2^(-8/n), 2^(-16/n), ... for n heads, n a power of two; else the paper's rule fills up from twice as many."""
    power = 2 ** (heads.bit_length() - 1)
    found = [2.0 ** (-8 * n / power) for n in range(1, power + 1)]
    between = [2.0 ** (-4 * n / power) for n in range(1, 2 * (heads - power), 2)]
    return torch.tensor(found + between)


def one_sided_slopes(heads: int) -> Float[Tensor, "heads 2"]:
    """Left and right of each head: even heads look left and odd ones right, at slope 1 away from it."""
    sides = torch.ones(heads, 2)
    sides[0::2, 0] = slopes(heads - heads // 2)
    if heads > 1:
        sides[1::2, 1] = slopes(heads // 2)
    return sides
