"""What each form of bias can do for `attend`: see distance alone, give some rows alone, or neither.

Shape suffixes: B batch (1 when packed), H heads, Q queries, K keys, M columns of a profile.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..positions import Bias, Cumulative, Distance, LowRank, Profile
from ..positions._bias import counted, distances, rows_of, terms


@dataclass(frozen=True)
class Rows:
    """A term whose rows can be formed alone: `at(tensors, queries)` is (1 or B, H, Q, K)."""

    tensors: list[Tensor]  # what gradients go to; what rows share is computed once
    at: Callable[[Sequence[Tensor], slice], Tensor]
    complete: bool = True  # False where a curve reads learned numbers that are not among `tensors`


CHUNK = 128  # keys of a profile that are looked up at once


def of_distance(bias: Bias | None, like: Tensor) -> bool:
    """Whether each term is a function of counted distances, or a product that queries and keys can take in."""
    return all(
        counted(term.p) if isinstance(term, Distance) else isinstance(term, LowRank) and term.u_BHQR.dtype == like.dtype
        for term in terms(bias)
    )


def in_rows(bias: Bias | None) -> bool:
    """Whether each term can give some queries' rows without forming all."""
    return all(isinstance(term, LowRank | Distance | Profile | Cumulative) for term in terms(bias))


def by_rows(bias: Bias | None) -> Rows | None:
    """The rows of all terms together."""
    found = [_rows(term) for term in terms(bias)]
    if not found:
        return None

    def at(tensors: Sequence[Tensor], queries: slice) -> Tensor:
        parts, first = [], 0
        for rows in found:
            parts.append(rows.at(tensors[first : first + len(rows.tensors)], queries))
            first += len(rows.tensors)
        return sum(parts[1:], start=parts[0])

    return Rows([t for rows in found for t in rows.tensors], at, all(rows.complete for rows in found))


def _rows(term: Bias) -> Rows:
    match term:
        case LowRank():
            return Rows([term.u_BHQR, term.w_BHKR], lambda t, at: t[0][:, :, at] @ t[1].transpose(-1, -2))
        case Distance():
            return _distance(term)
        case Profile():
            return _profile(term)
        case Cumulative():
            return Rows(list(term.sums()), lambda t, at: term.rows(t[0], t[1], at))
    return Rows([term.dense()], lambda t, at: t[0] if t[0].shape[-2] == 1 else t[0][..., at, :])


def _distance(term: Distance) -> Rows:
    coordinate, length = rows_of(term.p.coordinate, term.p), rows_of(term.p.length, term.p)
    curves = [term.curve(distances(term.p, term.dtype))] if counted(term.p) and not term.by_length else []

    def at(tensors: Sequence[Tensor], queries: slice) -> Tensor:
        delta = coordinate.unsqueeze(1) - coordinate[:, queries].unsqueeze(2)
        if tensors:
            return tensors[0][:, delta + (delta.shape[-1] - 1)].transpose(0, 1)
        return term.at(delta, length[:, queries].unsqueeze(-1)).transpose(0, 1)

    return Rows(curves, at, complete=bool(curves))


def _profile(term: Profile) -> Rows:
    """A chunk of keys at a time, each with no more of the curves than the distances between its real tokens."""
    p, of_key = term.p, term.of == "key"
    coordinate, valid = rows_of(p.coordinate, p), rows_of(p.valid, p)
    width = coordinate.shape[1]
    curves = [term.basis(distances(p, term.dtype))] if counted(p) else []

    def part(tensors: Sequence[Tensor], queries: slice, keys: slice) -> Tensor:
        side_BHTM, *basis_HMS = tensors
        own, other = (keys, queries) if of_key else (queries, keys)
        side = side_BHTM[:, :, own]
        delta = coordinate[:, keys].unsqueeze(1) - coordinate[:, queries].unsqueeze(2)
        delta = delta.transpose(1, 2) if of_key else delta
        if not basis_HMS:
            return term.pairs(side, delta)
        near = delta[valid[:, own].unsqueeze(2) & valid[:, other].unsqueeze(1)]
        low, high = (int(near.min()), int(near.max())) if near.numel() else (0, 0)
        products = side @ basis_HMS[0][..., width - 1 + low : width + high]
        far = (delta - low).clamp(0, high - low).unsqueeze(1)  # pads alone are farther
        return products.gather(-1, far.expand(-1, side.shape[1], -1, -1))

    def at(tensors: Sequence[Tensor], queries: slice) -> Tensor:
        chunks = [slice(first, min(first + CHUNK, width)) for first in range(0, width, CHUNK)]
        parts = (part(tensors, queries, keys) for keys in chunks)
        return torch.cat([found.transpose(-1, -2) if of_key else found for found in parts], -1)

    return Rows([term.side_BHTM.to(term.dtype), *curves], at, complete=bool(curves))
