"""Dropout whose random numbers cost little on a CPU: eight decisions a random word.

PyTorch draws one random number for each decision there, which takes longer than the product that it is for.
"""

import torch
from torch import Tensor
from torch.nn.functional import dropout

WORD = 8  # decisions in a word of 64 bits, a byte each


def drop(x: Tensor, rate: float) -> Tensor:
    """`x` with a share of `rate` set to 0 and the rest scaled up to the same mean; for training alone.

    On a CPU a decision is a byte, so that the rate holds to 1/512: 0.1 is 26/256. Elsewhere, in compiled code, and for
    rates that a byte cannot tell from 0 or 1, it is PyTorch's.
    """
    dropped = round(256 * rate)
    if x.device.type != "cpu" or not 0 < dropped < 256 or torch.compiler.is_compiling():
        return dropout(x, rate)
    words = torch.empty(-(-x.numel() // WORD), dtype=torch.int64).random_(-(2**63), None)
    # Signed bytes and a comparison into floats: unsigned ones, or a mask of booleans, take three times as long.
    kept = words.view(torch.int8)[: x.numel()].to(torch.float32)
    torch.ge(kept, dropped - 128, out=kept)
    return x * kept.mul_(256 / (256 - dropped)).view(x.shape).to(x.dtype)
