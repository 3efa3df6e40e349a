"""The one entry to attention: scores, an optional bias, masks, weights, values.

Shape suffixes: T tokens `(B, L)` or `(N,)`, H heads, E width of queries and keys, F width of values; inside,
B batch (1 when packed), Q queries, K keys.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from ..errors import UsageError
from ..positions import Bias, Dense, Positions
from ..positions._bias import batched
from .choice import Backend, choose
from .dense import allowed, dense_attention
from .forms import of_distance
from .onnx import is_wanted, onnx_attention
from .rows import row_attention
from .table import placed
from .texts import text_attention

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
    backend: Backend = "auto",
) -> Float[Tensor, "*T H F"]:
    """Each token's weighted mean of the values of its own sequence; pads and other sequences never count.

    `scale` multiplies the products of queries and keys, usually 1 / sqrt of the projection's head width; `dropout`
    is the share of weights set to zero (0 outside training). `trace(name, tensor)` receives `scores` and `weights`,
    which only the dense way forms. "auto" forms what is L x L where it is small, and beyond that goes "blockwise", in
    memory that grows with the length alone; `explain` says which it takes. Pads are 0 there, and second derivatives
    are refused.

    *Raises*: UsageError if queries are not one a position or a `Dense` bias is not of their shape, if `backend` is
    "fused" or "blockwise" together with `trace` or a bias that acts on values, and for a `Toeplitz` table that does not
    fit.
    *Source*: arXiv 1706.03762.
    """
    _fit(q_THE, p, bias)
    bias = placed(bias, p, q_THE.shape[-2])
    way, _ = choose(q_THE, p, bias, dropout, trace is not None, backend)
    if way == "blockwise":
        kind = q_THE.device.type
        if torch.is_autocast_enabled(kind):  # one type for the kernel; what is summed over blocks stays exact
            q_THE, k_THE, v_THF = (t.to(torch.get_autocast_dtype(kind)) for t in (q_THE, k_THE, v_THF))
        with torch.autocast(kind, enabled=False):
            return _blockwise(q_THE, k_THE, v_THF, p, scale, bias, dropout)
    if way == "fused" and is_wanted():
        return onnx_attention(q_THE, k_THE, v_THF, _additive(p, bias, q_THE), scale)
    q_BHQE, k_BHKE, v_BHKF = (batched(t, p) for t in (q_THE, k_THE, v_THF))
    if way == "dense":
        y_BHQF = dense_attention(q_BHQE, k_BHKE, v_BHKF, allowed(p), scale, bias, dropout, trace)
    else:
        mask = allowed(p) if bias is None else _additive(p, bias, q_THE)
        y_BHQF = scaled_dot_product_attention(q_BHQE, k_BHKE, v_BHKF, attn_mask=mask, dropout_p=dropout, scale=scale)
    return _tokens_first(y_BHQF, v_THF)


def _fit(q_THE: Float[Tensor, "*T H E"], p: Positions, bias: Bias | None) -> None:
    """Raises UsageError where shapes cannot belong together, before a kernel says so in its own words."""
    tokens = tuple(p.valid.shape)
    if q_THE.shape[:-2] != tokens and not (p.packed and q_THE.shape[:-2].numel() == p.valid.numel()):
        raise UsageError(
            f"queries must be (*tokens, heads, width) for positions of {tokens}, got {tuple(q_THE.shape)}",
            hint="x.unflatten(-1, (num_heads, -1)), heads behind tokens",
        )
    if isinstance(bias, Dense):
        batch, length = (1, p.valid.numel()) if p.packed else tokens
        wanted = (batch, q_THE.shape[-2], length, length)
        if any(have not in (1, want) for have, want in zip(bias.scores.shape, wanted, strict=True)):
            raise UsageError(f"a dense bias must be (batch, heads, queries, keys) {wanted} or 1 there, got "
                             f"{tuple(bias.scores.shape)}")  # fmt: skip


def _additive(p: Positions, bias: Bias | None, like: Float[Tensor, "*T H E"]) -> Float[Tensor, "#B #H #Q K"]:
    """Minus infinity where a query may not look, the bias where it may."""
    scores = like.new_zeros(()) if bias is None else bias.dense().to(like.dtype)
    return torch.where(allowed(p), scores, float("-inf"))


def _blockwise(
    q: Tensor, k: Tensor, v: Tensor, p: Positions, scale: float, bias: Bias | None, dropout: float
) -> Float[Tensor, "*T H F"]:
    if of_distance(bias, q):
        return text_attention(q, k, v, p, scale=scale, bias=bias, dropout=dropout)
    q_BHQE, k_BHKE, v_BHKF = (batched(t, p) for t in (q, k, v))
    y_BHQF = row_attention(q_BHQE, k_BHKE, v_BHKF, p, scale=scale, bias=bias, dropout=dropout)
    return _tokens_first(y_BHQF, v)


def _tokens_first(y_BHQF: Float[Tensor, "B H Q F"], like: Float[Tensor, "*T H F"]) -> Float[Tensor, "*T H F"]:
    y_BQHF = y_BHQF.transpose(1, 2)
    return y_BQHF.squeeze(0) if like.dim() == 3 else y_BQHF
