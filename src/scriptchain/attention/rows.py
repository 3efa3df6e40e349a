"""Attention by blocks of queries, with any bias that can give some queries' rows alone.

The backward forms each block's scores again, so memory grows with the length and not with its square.
Shape suffixes: B batch (1 when packed), H heads, L all tokens, Q queries of a block, E and F widths.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from ..positions import Bias, Dense, Positions
from .dense import allowed, dense_attention
from .forms import by_rows
from .toeplitz import blocks, once

ROWS = 64  # queries whose scores stand in memory at once, several times over in the backward


def row_attention(
    q_BHLE: Float[Tensor, "B H L E"],
    k_BHLE: Float[Tensor, "B H L E"],
    v_BHLF: Float[Tensor, "B H L F"],
    p: Positions,
    *,
    scale: float,
    bias: Bias | None,
    dropout: float,
    rows: int = ROWS,
) -> Float[Tensor, "B H L F"]:
    """softmax(scale q k + bias) v over the keys of each query's own text, `rows` queries at a time.

    *Raises*: UsageError in a backward with `create_graph=True`, unless a curve is of real coordinates.
    """
    term = by_rows(bias)

    def block(at: slice, q_BHQE: Tensor, k: Tensor, v: Tensor, *tensors: Tensor) -> Tensor:
        own = Dense(term.at(tensors, at)) if term is not None else None
        return dense_attention(q_BHQE, k, v, allowed(p, at), scale, own, dropout, None)

    if term is None or term.complete:
        return _Rows.apply(block, rows, dropout, q_BHLE, k_BHLE, v_BHLF, *(term.tensors if term else ()))
    # What a curve learns is out of sight: autograd must follow it, and its many small nodes keep memory in pieces.
    parts = zip(blocks(q_BHLE.shape[2], rows), q_BHLE.split(rows, 2), strict=True)
    found = [checkpoint(block, at, q, k_BHLE, v_BHLF, *term.tensors, use_reentrant=False) for at, q in parts]
    return torch.cat(found, 2)


class _Rows(torch.autograd.Function):
    """Keeps what comes in and nothing between; sums of gradients grow in place, block after block."""

    @staticmethod
    def forward(ctx: Any, block: Any, rows: int, dropout: float, *tensors: Tensor) -> Float[Tensor, "B H L F"]:
        q, k, v, *others = tensors
        seed = int(torch.randint(2**32, ())) if dropout else None
        y = v.new_empty(*q.shape[:3], v.shape[3])
        with torch.random.fork_rng(enabled=seed is not None):
            _seed(seed)
            for at in blocks(q.shape[2], rows):
                y[:, :, at] = block(at, q[:, :, at], k, v, *others)
        ctx.save_for_backward(*tensors)
        ctx.how = block, rows, seed
        return y

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Float[Tensor, "B H L F"]) -> tuple[Tensor | None, ...]:
        once()
        (g,) = grad_outputs
        block, rows, seed = ctx.how
        needed = ctx.needs_input_grad[3:]
        q, *others = (t.detach().requires_grad_(need) for t, need in zip(ctx.saved_tensors, needed, strict=True))
        exact = torch.promote_types(q.dtype, torch.float32)
        dq = torch.zeros_like(q)
        sums = [torch.zeros_like(t, dtype=exact) if t.requires_grad else None for t in others]
        wanted = [t for t in others if t.requires_grad]
        with torch.random.fork_rng(enabled=seed is not None):
            _seed(seed)
            for at in blocks(q.shape[2], rows):
                with torch.enable_grad():
                    part = q[:, :, at].detach().requires_grad_()
                    y = block(at, part, *others)
                first, *found = torch.autograd.grad(y, [part, *wanted], g[:, :, at])
                dq[:, :, at] = first
                for total, more in zip((t for t in sums if t is not None), found, strict=True):
                    total += more
        return None, None, None, dq, *(None if s is None else s.to(t.dtype) for s, t in zip(sums, others, strict=True))


def _seed(seed: int | None) -> None:
    if seed is not None:
        torch.manual_seed(seed)
