"""Our side of every comparison: seeded numbers, one text of L tokens, and what an encoding makes of them."""

from typing import TypeVar

import pytest
import torch
from torch import Tensor, nn

from scriptchain.attention import attend
from scriptchain.positions import PositionalEncoding, Positions, Size

D_MODEL, HEADS, LENGTH = 32, 4, 40
WIDTH = D_MODEL // HEADS
SIZE = Size(d_model=D_MODEL, num_heads=HEADS, num_layers=1, max_seq_len=LENGTH)
# What a library warns of on import is not ours to mend.
PARITY = [pytest.mark.parity, pytest.mark.filterwarnings("ignore::DeprecationWarning")]
TOLERANCE = 1e-5  # of numbers of order 1 that one side rounds to float32; float64 is held to EXACT
EXACT = 1e-6  # not the last digit: libraries and we round a factor or a slope to float32 on the way

Module = TypeVar("Module", bound=nn.Module)


def draw(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def perturbed(module: Module) -> Module:
    """Every parameter drawn anew, so that nothing is equal because both start at zero."""
    with torch.no_grad():
        for number, parameter in enumerate(module.parameters()):
            parameter.copy_(0.5 * draw(*parameter.shape, seed=100 + number))
    return module


def positions(length: int = LENGTH) -> Positions:
    return Positions.from_lengths(torch.tensor([length]))


def heads(x_BLD: Tensor) -> Tensor:
    return x_BLD.unflatten(-1, (HEADS, WIDTH))


def bias(encoding: PositionalEncoding, length: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Shape `(H, L, L)`, for an encoding that reads neither queries nor keys."""
    blank = torch.zeros(1, length, encoding.size.num_heads, WIDTH, dtype=dtype)
    term = encoding.bias(blank.flatten(-2), blank, blank, positions(length))
    assert term is not None
    return term.dense().expand(1, -1, length, length)[0]


def attention(encoding: PositionalEncoding, q: Tensor, k: Tensor, v: Tensor, scale: float = WIDTH**-0.5) -> Tensor:
    """Flat outputs `(1, L, D)` of flat queries, keys and values."""
    q, k, v = heads(q), heads(k), heads(v)
    p = positions(q.shape[1])
    term = encoding.bias(q.flatten(-2), q, k, p)
    return attend(*encoding.rotate(q, k, p), v, p, scale=scale, bias=term, backend="dense").flatten(-2)


def assert_same(ours: Tensor, theirs: Tensor, tolerance: float = EXACT) -> None:
    assert ours.shape == theirs.shape
    far = float((ours.double() - theirs.double()).detach().abs().max())
    assert far < tolerance, f"must equal the library's, is {far:.1e} away"
    assert float(theirs.detach().double().std()) > 1e-3, "the library's numbers must differ, or nothing is compared"
