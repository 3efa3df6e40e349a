"""What was asked before changes no answer: nothing is kept from a batch of another padding, length or number type."""

import contextlib
import copy

import torch

from .adapter import Adapter
from .inputs import SAME, difference, draw, padding


def check_memory(adapter: Adapter, length: int) -> None:
    """`length` beyond 256 also tells a table of positions that was made in bfloat16."""
    x = draw(3, length, adapter.size.d_model)
    left, right = (padding((length, 7, 3), length, side) for side in ("left", "right"))
    before = {
        "a batch of another padding": (x, right),
        "shorter texts": (x[:, :4], left[:, -4:]),
        "a batch in bfloat16": (x.bfloat16(), left),
    }
    with torch.no_grad():
        expected = copy.deepcopy(adapter).outputs(x, left)[left]
        for what, (other, mask) in before.items():
            used = copy.deepcopy(adapter)
            with contextlib.suppress(RuntimeError):  # weights of float32 may refuse bfloat16
                used.outputs(other, mask)
            moved = difference(used.outputs(x, left)[left], expected)
            assert moved < SAME, f"{what} must not change the next one, moved it by {moved}"
