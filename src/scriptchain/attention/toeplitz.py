"""Exact attention with a bias of distance alone, in memory that grows with the length and not with its square.

w[h, j - i + L - 1] is the bias of key j for query i. `w.unfold(1, L, 1)` shows it as L x L without a copy, but its row
r is query L - 1 - r. So queries go in last to first, "turned", and the output is turned back.
Shape suffixes: B texts of one length L, H heads, E width, S = 2 L - 1 distances.
"""

from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad, scaled_dot_product_attention

from ..errors import UsageError

ROWS = 128  # queries of a text whose weights stand in memory at once


def toeplitz_attention(
    q_BHLE: Float[Tensor, "B H L E"],
    k_BHLE: Float[Tensor, "B H L E"],
    v_BHLF: Float[Tensor, "B H L F"],
    w_HS: Float[Tensor, "H S"] | None,
    *,
    scale: float,
    dropout: float = 0.0,
    rows: int = ROWS,
) -> Float[Tensor, "B H L F"]:
    """softmax(scale q k + bias) v, with gradients to q, k, v and w that are the same bits every time.

    Weights are never kept: the backward forms them again, `rows` queries of a text at a time. Without `w` there is
    no bias.

    *Raises*: UsageError in a backward with `create_graph=True`: second derivatives are not there.
    *Source*: arXiv 2205.14135 for keeping only the log-sum-exp of each row.
    """
    length, width, wide = q_BHLE.shape[2], v_BHLF.shape[3], max(q_BHLE.shape[3], v_BHLF.shape[3])
    # The fused kernel wants one width; zeros change no product.
    q, k, v = (pad(t, (0, wide - t.shape[3])) if t.shape[3] < wide else t for t in (q_BHLE, k_BHLE, v_BHLF))
    if w_HS is None and not dropout:
        return scaled_dot_product_attention(q, k, v, scale=scale)[..., :width]
    exact = torch.promote_types(q.dtype, torch.float32)
    w = q.new_zeros(q.shape[1], 2 * length - 1, dtype=exact) if w_HS is None else w_HS.to(exact).contiguous()
    if _fused(q, dropout) and not w.requires_grad:
        turned = scaled_dot_product_attention(q.flip(2), k, v, attn_mask=_view(w)[None], scale=scale)
        return turned.flip(2)[..., :width]
    return _Toeplitz.apply(q, k, v, w, scale, dropout, rows)[..., :width]


class _Toeplitz(torch.autograd.Function):
    """Keeps queries, keys, values, output and the log-sum-exp of each row: none of them is L x L."""

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, w: Tensor, scale: float, dropout: float, rows: int
    ) -> Float[Tensor, "B H L E"]:
        seed = int(torch.randint(2**32, ())) if dropout else 0
        if _fused(q, dropout):
            turned, lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
                q.flip(2), k, v, attn_mask=_view(w)[None], scale=scale
            )
        else:
            turned, lse = _forward(q, k, v, w, scale, dropout, seed, rows)
        y = turned.flip(2)
        ctx.save_for_backward(q, k, v, w, y, lse)
        ctx.numbers = scale, dropout, seed, rows
        return y

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Float[Tensor, "B H L E"]) -> tuple[Tensor | None, ...]:
        once()
        (g,) = grad_outputs
        q, k, v, w, y, lse = ctx.saved_tensors
        scale, dropout, seed, rows = ctx.numbers
        batch, heads, length, width = q.shape
        dq, dk, dv, dw = (torch.zeros(t.shape, dtype=lse.dtype, device=q.device) for t in (q, k, v, w))
        p_HRL, dp_HRL = (lse.new_empty(heads, rows, length) for _ in range(2))
        skewed = lse.new_zeros(heads, rows, length + rows)
        drawn = torch.Generator(q.device).manual_seed(seed)
        for b in range(batch):
            # One column more takes the log-sum-exp, and the mean slope of a row, off inside the products.
            q_HLE = torch.cat([scale * q[b].flip(1).to(lse.dtype), -lse[b].unsqueeze(-1)], -1)
            g_HLE = g[b].to(lse.dtype)
            g_HLE = torch.cat([g_HLE, -(g_HLE * y[b]).sum(-1, keepdim=True)], -1).flip(1)
            k_HLE, v_HLE = (pad(t[b].to(lse.dtype), (0, 1), value=1.0) for t in (k, v))
            for at in blocks(length, rows):
                count = at.stop - at.start
                p, dp, ds = p_HRL[:, :count], dp_HRL[:, :count], skewed[:, :count, :length]
                torch.baddbmm(_view(w)[:, at], q_HLE[:, at], k_HLE.transpose(1, 2), out=p).exp_()
                torch.bmm(g_HLE[:, at], v_HLE.transpose(1, 2), out=dp)
                kept = _kept(p, dropout, drawn) if dropout else None
                if kept is not None:  # of the slopes, but not of their mean
                    dp.sub_(g_HLE[:, at, width:]).mul_(kept).add_(g_HLE[:, at, width:])
                torch.mul(p, dp, out=ds)
                if kept is not None:
                    p.mul_(kept)
                dv[b].baddbmm_(p.transpose(1, 2), g_HLE[:, at, :width])
                dk[b].baddbmm_(ds.transpose(1, 2), q_HLE[:, at, :width])
                torch.bmm(ds, k_HLE[..., :width], out=dq[b, :, at])
                if ctx.needs_input_grad[3]:
                    dw[:, at.start : at.stop + length - 1] += _diagonals(skewed, count)
        dq = dq.mul_(scale).flip(2)
        return dq.to(q.dtype), dk.to(k.dtype), dv.to(v.dtype), dw, None, None, None


def once() -> None:
    """To be called in a backward that autograd cannot follow: its result must not pass for a constant."""
    if torch.is_grad_enabled():
        raise UsageError("create_graph must be False for block-wise attention, got True", hint="backend='dense'")


def _fused(q: Tensor, dropout: float) -> bool:
    """Whether the CPU's kernel serves: it reads the view as it is, and drops nothing."""
    return q.device.type == "cpu" and not dropout


def _view(w_HS: Float[Tensor, "H S"]) -> Float[Tensor, "H L L"]:
    """The bias of turned queries; no memory of its own."""
    return w_HS.unfold(1, (w_HS.shape[1] + 1) // 2, 1)


def blocks(length: int, rows: int) -> Iterator[slice]:
    """The queries of a text, `rows` at a time."""
    return (slice(first, min(first + rows, length)) for first in range(0, length, rows))


def _forward(
    q: Tensor, k: Tensor, v: Tensor, w: Tensor, scale: float, dropout: float, seed: int, rows: int
) -> tuple[Float[Tensor, "B H L E"], Float[Tensor, "B H L"]]:
    """The output of turned queries and the log-sum-exp of their scores, where the fused kernel does not serve."""
    y, lse = torch.empty_like(v), w.new_empty(q.shape[:3])
    drawn = torch.Generator(q.device).manual_seed(seed)
    for b in range(len(q)):
        q_HLE, k_HLE, v_HLE = (t.to(w.dtype) for t in (scale * q[b].flip(1), k[b], v[b]))
        for at in blocks(q.shape[2], rows):
            scores = torch.baddbmm(_view(w)[:, at], q_HLE[:, at], k_HLE.transpose(1, 2))
            lse[b, :, at] = scores.logsumexp(-1)
            p = scores.sub_(lse[b, :, at].unsqueeze(-1)).exp_()
            if dropout:
                p.mul_(_kept(p, dropout, drawn))
            y[b, :, at] = p @ v_HLE
    return y, lse


def _kept(p_HRL: Float[Tensor, "H R L"], dropout: float, drawn: torch.Generator) -> Float[Tensor, "H R L"]:
    """What the weights of a block are multiplied by; forward and backward draw the same numbers in the same order."""
    return torch.empty_like(p_HRL).bernoulli_(1 - dropout, generator=drawn).div_(1 - dropout)


def _diagonals(skewed_HRW: Float[Tensor, "H R W"], count: int) -> Float[Tensor, "H D"]:
    """Sums over the diagonals of the first `count` rows; the last R columns are zeros.

    Read with rows of one number less, row r starts r numbers later: the columns are then the diagonals.
    """
    heads, rows, wide = skewed_HRW.shape
    turned = skewed_HRW.as_strided((heads, count, wide - 1), (rows * wide, wide - 1, 1))
    return turned.sum(1)[:, : wide - rows + count - 1]
