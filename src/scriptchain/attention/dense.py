"""Attention with every score in memory: what tracing needs, and the plainest thing to compare others with."""

from collections.abc import Callable

from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import dropout as drop

from ..positions import Bias, Positions


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
    weights = scores.softmax(-1)
    if trace is not None:
        trace("scores", scores)
        trace("weights", weights)
    weights = drop(weights, dropout) if dropout > 0 else weights
    output = weights @ v_BHKF
    return output + bias.values(weights) if bias is not None and bias.acts_on_values else output


def allowed(p: Positions, at: slice = slice(None)) -> Bool[Tensor, "B 1 #Q K"]:
    """Which keys the queries `at` may see."""
    if p.packed:
        segment = p.segment.reshape(1, -1)
        return (segment[:, at].unsqueeze(2) == segment.unsqueeze(1)).unsqueeze(1)
    # A sequence without any token sees all its pads: its output is never read, and no row is all -inf.
    seen = p.valid | ~p.valid.any(1, keepdim=True)
    return seen[:, None, None, :]
