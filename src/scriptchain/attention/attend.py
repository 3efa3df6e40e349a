"""The one entry to attention: scores, an optional bias, masks, weights, values.

Shape suffixes: T tokens `(B, L)` or `(N,)`, H heads, E width of queries and keys, F width of values; inside,
B batch (1 when packed), Q queries, K keys.
"""

from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from ..errors import UsageError
from ..positions import Bias, Positions
from .dense import dense_attention

Recorder = Callable[[str, Tensor], None]


def attend(
    q_THE: Float[Tensor, "*T H E"],
    k_THE: Float[Tensor, "*T H E"],
    v_THF: Float[Tensor, "*T H F"],
    p: Positions,
    *,
    scale: float,
    bias: Bias | None = None,
    dropout: float = 0.0,
    trace: Recorder | None = None,
    backend: Literal["auto", "fused", "dense"] = "auto",
) -> Float[Tensor, "*T H F"]:
    """Each token's weighted mean of the values of its own sequence; pads and other sequences never count.

    `scale` multiplies the products of queries and keys, usually 1 / sqrt of the projection's head width; `dropout`
    is the share of weights set to zero (0 outside training). `trace(name, tensor)` receives `scores` and `weights`,
    which the fused kernel never forms, so tracing goes the dense way.

    *Raises*: UsageError if `backend="fused"` is asked together with `trace`.
    *Source*: arXiv 1706.03762.
    """
    if backend == "fused" and trace is not None:
        raise UsageError("backend must be 'dense' or 'auto' with trace, got 'fused'", hint="backend='auto'")
    packed = p.packed and q_THE.dim() == 3
    q_BHQE, k_BHKE, v_BHKF = ((t.unsqueeze(0) if packed else t).transpose(1, 2) for t in (q_THE, k_THE, v_THF))
    allowed = _allowed(p)
    # Exporters take the fused kernel apart, and with a bias into strides other than those that they traced.
    exported = bias is not None and backend == "auto" and torch.compiler.is_exporting()
    on_values = bias is not None and bias.acts_on_values
    if trace is not None or backend == "dense" or exported or on_values:
        y_BHQF = dense_attention(q_BHQE, k_BHKE, v_BHKF, allowed, scale, bias, dropout, trace)
    else:
        mask = allowed
        if bias is not None:
            mask = bias.dense().to(q_THE.dtype).masked_fill(~allowed, float("-inf"))
        y_BHQF = scaled_dot_product_attention(q_BHQE, k_BHKE, v_BHKF, attn_mask=mask, dropout_p=dropout, scale=scale)
    y_BQHF = y_BHQF.transpose(1, 2)
    return y_BQHF.squeeze(0) if packed else y_BQHF


def _allowed(p: Positions) -> Bool[Tensor, "B 1 #Q K"]:
    """Which keys a query may see."""
    if p.packed:
        segment = p.segment.reshape(1, -1)
        return (segment.unsqueeze(2) == segment.unsqueeze(1)).unsqueeze(1)
    # A sequence without any token sees all its pads: its output is never read, and no row is all -inf.
    seen = p.valid | ~p.valid.any(1, keepdim=True)
    return seen[:, None, None, :]
