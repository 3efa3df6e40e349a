"""Attention with every score in memory: what tracing needs, and the plainest thing to compare others with."""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import pad

from ..positions import Bias, Positions
from .dropout import drop

VECTOR = 16  # floats in a register of 512 bits


def dense_attention(
    q_BHQE: Float[Tensor, "B H Q E"],
    k_BHKE: Float[Tensor, "B H K E"],
    v_BHKF: Float[Tensor, "B H K F"],
    allowed: Bool[Tensor, "B 1 #Q K"],
    scale: float,
    bias: Bias | None,
    dropout: float,
    trace: Callable[[str, Tensor], None] | None,
) -> Float[Tensor, "B H Q F"]:
    """softmax(scale q k + bias) v over the allowed keys; `trace` receives `scores` and `weights`."""
    scores = scale * (q_BHQE @ k_BHKE.transpose(-1, -2))
    if bias is not None:
        scores = scores + bias.dense().to(scores.dtype)
    scores = scores.masked_fill(~allowed, float("-inf"))
    weights = softmax(scores)
    if trace is not None:
        trace("scores", scores)
        trace("weights", weights)
    weights = drop(weights, dropout) if dropout > 0 else weights
    output = weights @ v_BHKF
    return output + bias.values(weights) if bias is not None and bias.acts_on_values else output


def softmax(scores: Float[Tensor, "*N K"]) -> Float[Tensor, "*N K"]:
    """Over the keys. On a CPU PyTorch's kernel is slow for half types, and for fewer keys than fill a register, which
    cost ten times as much as 16."""
    if scores.device.type != "cpu" or torch.compiler.is_compiling():
        return scores.softmax(-1)
    exact = scores.to(torch.promote_types(scores.dtype, torch.float32))
    missing = VECTOR - scores.shape[-1]
    if missing > 0:
        exact = pad(exact, (0, missing), value=float("-inf"))
    return exact.softmax(-1)[..., : scores.shape[-1]].to(scores.dtype)


def allowed(p: Positions, at: slice = slice(None)) -> Bool[Tensor, "B 1 #Q K"]:
    """Which keys the queries `at` may see."""
    if p.packed:
        segment = p.segment.reshape(1, -1)
        return (segment[:, at].unsqueeze(2) == segment.unsqueeze(1)).unsqueeze(1)
    # A sequence without any token sees all its pads: its output is never read, and no row is all -inf.
    seen = p.valid | ~p.valid.any(1, keepdim=True)
    return seen[:, None, None, :]
