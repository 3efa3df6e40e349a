"""Attention text by text, for biases that see nothing but the number of tokens between two of a text.

Texts of one length go together, without pads. Shape suffixes: T tokens as `attend` gets them, N the same in one stream,
H heads, E and F widths, S = 2 n - 1 distances of a text of n tokens.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..positions import Bias, Distance, LowRank, Positions
from ..positions._bias import terms
from .toeplitz import ROWS, toeplitz_attention


def text_attention(
    q_THE: Float[Tensor, "*T H E"],
    k_THE: Float[Tensor, "*T H E"],
    v_THF: Float[Tensor, "*T H F"],
    p: Positions,
    *,
    scale: float,
    bias: Bias | None,
    dropout: float,
    rows: int = ROWS,
) -> Float[Tensor, "*T H F"]:
    """Each token's weighted mean of the values of its own text; 0 on pads."""
    q, k, v = (t.flatten(0, -3) for t in (q_THE, k_THE, v_THF))
    pairs = [term for term in terms(bias) if isinstance(term, LowRank)]
    if pairs:  # scale q . k + u . w is one product of wider vectors
        q = torch.cat([scale * q, *(_stream(term.u_BHQR) for term in pairs)], -1)
        k = torch.cat([k, *(_stream(term.w_BHKR) for term in pairs)], -1)
        scale = 1.0
    curves = [term for term in terms(bias) if isinstance(term, Distance)]
    order, lengths = by_length(p)
    moved = len(order) != len(q) or not torch.equal(order, torch.arange(len(order), device=order.device))
    streams = [t.index_select(0, order) if moved else t for t in (q, k, v)]
    sizes = [n * count for n, count in lengths]
    found = []
    for (n, count), *parts in zip(lengths, *(t.split(sizes) for t in streams), strict=True):
        q_BHLE, k_BHLE, v_BHLF = (part.unflatten(0, (count, n)).transpose(1, 2) for part in parts)
        w_HS = _values(curves, n, q_BHLE)
        y_BHLF = toeplitz_attention(q_BHLE, k_BHLE, v_BHLF, w_HS, scale=scale, dropout=dropout, rows=rows)
        found.append(y_BHLF.transpose(1, 2).flatten(0, 1))
    y = torch.cat(found) if found else v[:0]
    return (y.new_zeros(v.shape).index_copy(0, order, y) if moved else y).reshape(v_THF.shape)


def by_length(p: Positions) -> tuple[Int[Tensor, "real"], list[tuple[int, int]]]:
    """The real tokens, text after text in the texts' own order, short texts first; (length, how many texts) of each."""
    length, segment, index, valid = (t.flatten() for t in (p.length, p.segment, p.index, p.valid))
    real = valid.nonzero().squeeze(1)
    key = (length * (segment.max() + 1) + segment) * length.max() + index
    order = real[key[real].argsort()]
    sizes, tokens = length[order].unique_consecutive(return_counts=True)
    return order, [(n, count // n) for n, count in zip(sizes.tolist(), tokens.tolist(), strict=True)]


def _stream(x_BHLR: Float[Tensor, "B H L R"]) -> Float[Tensor, "N H R"]:
    return x_BHLR.transpose(1, 2).flatten(0, 1)


def _values(curves: list[Distance], n: int, q_BHLE: Float[Tensor, "B H L E"]) -> Float[Tensor, "H S"] | None:
    """What the terms add, together, at the distances 1 - n .. n - 1 of a text of n tokens."""
    found = []
    for term in curves:
        delta = torch.arange(1 - n, n, device=q_BHLE.device, dtype=term.dtype)
        found.append(term.at(delta, delta.new_full((1,), n)))
    return sum(found[1:], start=found[0]).expand(q_BHLE.shape[1], -1) if found else None
