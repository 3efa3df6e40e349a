"""Attention with every score in memory: what tracing needs, and the plainest thing to compare others with."""

from collections.abc import Callable

from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import dropout as drop

from ..positions import Bias


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
    weights = drop(weights, dropout, training=dropout > 0)
    output = weights @ v_BHKF
    return output + bias.values(weights) if bias is not None and bias.acts_on_values else output
