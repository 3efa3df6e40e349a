"""Half precision rounds numbers of the stream; it moves no position, angle or table row."""

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch

from ..positions import PositionalEncoding, Positions, Size
from .adapter import Adapter
from .inputs import SIZE, draw
from .reference import Reference, check_reference

HALF = [torch.bfloat16, torch.float16]
LONG = 2048
FAR = [0, 1, 257, 1025, LONG - 1]  # bfloat16 has 8 bits of mantissa: 257 would be 256, 2047 would be 2048
LONG_SIZE = Size(SIZE.d_model, SIZE.num_heads, SIZE.num_layers, LONG)


def check_half(
    encoding: PositionalEncoding, reference: Callable[..., Reference], options: Mapping[str, Any], dtype: torch.dtype
) -> None:
    """Inputs in half precision, then the module cast too: the reference of the same learned numbers, rounded."""
    p = Positions.from_lengths(torch.tensor([len(FAR)]))
    p = p.at(torch.tensor([FAR]))
    # Two roundings of numbers below 4, and no more: a moved angle is wrong by the whole amplitude.
    tolerance = 8 * torch.finfo(dtype).eps
    for module in (encoding, copy.deepcopy(encoding).to(dtype)):
        check_reference(module, reference, options, p, dtype=dtype, tolerance=tolerance)


def check_half_outputs(adapter: Adapter, length: int, dtype: torch.dtype) -> None:
    """Without a formula: the module cast to half against float64 with the same rounded weights, on two texts.

    Rounding is the same at every length, and positions that are moved are moved farther along the text. Only what
    learns is rounded on both sides: a constant that `.to(dtype)` rounds is a position that moves.
    """
    short, long = (_apart(adapter, number, dtype) for number in (16, length))
    assert long < 3 * short, (
        f"half precision must move no position: at {length} tokens outputs are {long:.1%} off, at 16 {short:.1%}"
    )


def _apart(adapter: Adapter, length: int, dtype: torch.dtype) -> float:
    """The root mean square of what half precision changes, as a share of the outputs'."""
    exact = copy.deepcopy(adapter)
    x, mask = draw(1, length, adapter.size.d_model, dtype=dtype), torch.ones(1, length, dtype=torch.bool)
    with torch.no_grad():
        for parameter in filter(lambda parameter: parameter.requires_grad, exact.parameters()):
            parameter.copy_(parameter.to(dtype))
        one = copy.deepcopy(adapter).to(dtype).outputs(x, mask).double()
        other = exact.double().outputs(x.double(), mask)
    return ((one - other).square().mean() / other.square().mean()).sqrt().item()
