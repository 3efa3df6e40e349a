"""Positions and biases that every law of the block-wise ways runs over."""

from collections.abc import Callable

import torch
from torch import Tensor

from scriptchain.attention import Toeplitz, attend
from scriptchain.attention.forms import of_distance
from scriptchain.attention.rows import row_attention
from scriptchain.attention.texts import text_attention
from scriptchain.positions import Bias, Cumulative, Dense, Distance, LowRank, Positions, Profile, Sum

from ..positions.rows import difference, draw, streams

HEADS, LONGEST = 2, 11
ANYWHERE = torch.tensor([[0, 1, 1, 0, 1], [0, 0, 0, 0, 0], [0, 0, 1, 0, 0], [1, 1, 1, 1, 1], [1, 0, 0, 1, 1]])

PLACES = {
    **dict(zip(("right", "left", "packed", "packed-1N"), streams(LONGEST), strict=True)),
    "anywhere": Positions.from_mask(ANYWHERE),
    "full": Positions.from_mask(torch.ones(2, 9)),
    "one token": Positions.from_mask(torch.ones(1, 1)),
    "no tokens": Positions.from_mask(torch.zeros(2, 3)),
}

Form = Callable[[dict[str, Tensor], Positions], Bias]


def _shaped(numbers: Tensor, delta: Tensor) -> Tensor:
    return numbers.reshape(-1, *[1] * delta.dim()).to(delta.dtype)


def _curve(t: dict[str, Tensor], p: Positions) -> Distance:
    return Distance(lambda delta: (_shaped(t["slope"], delta) * delta).sin(), p, like=t["q"])


def _share(t: dict[str, Tensor], p: Positions) -> Distance:
    """A curve of the share of the text that a distance is."""

    def curve(delta: Tensor, n: Tensor) -> Tensor:
        share = delta / n.clamp(min=1)
        return (3 * _shaped(t["slope"], share) * share).sin()

    return Distance(curve, p, like=t["q"], by_length=True)


def _profile(t: dict[str, Tensor], p: Positions, of: str = "query") -> Profile:
    waves = torch.tensor([0.3, 1.0, 2.0], dtype=torch.float64)
    return Profile(t["side"], lambda delta: (_shaped(waves, delta) * delta).sin().unsqueeze(0), p, of=of)  # pyright: ignore[reportArgumentType]


def _real(p: Positions) -> Positions:
    return p.at(p.index * 0.7)


FORMS: dict[str, Form] = {
    "table": lambda t, p: Toeplitz(t["table"]),
    "curve": _curve,
    "share of length": _share,
    "two": lambda t, p: Toeplitz(t["table"]) + _curve(t, p),
    "low rank": lambda t, p: LowRank(t["side"], t["other"], p),
    "low rank and table": lambda t, p: LowRank(t["side"], t["other"], p) + Toeplitz(t["table"]),
    "real": lambda t, p: _curve(t, _real(p)),
    "real share": lambda t, p: _share(t, _real(p)),
    "profile": _profile,
    "profile of keys": lambda t, p: _profile(t, p, "key"),
    "real profile": lambda t, p: _profile(t, _real(p)),
    "real profile of keys": lambda t, p: _profile(t, _real(p), "key"),
    "cumulative": lambda t, p: Cumulative(-t["side"][..., 0].abs(), -t["other"][..., 0].abs(), p),
    "given": lambda t, p: Dense(t["given"]),
    "all": lambda t, p: Sum(
        (_profile(t, p), _curve(t, p), LowRank(t["side"], t["other"], p), Toeplitz(t["table"]), Dense(t["given"]))
    ),
}


def inputs(p: Positions, dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
    """Queries and keys of width 3, values of width 5, and all that a bias may be made of."""
    shape = tuple(p.valid.shape)
    batch, length = (1, p.valid.numel()) if p.packed else shape
    shapes = {
        "q": (*shape, HEADS, 3), "k": (*shape, HEADS, 3), "v": (*shape, HEADS, 5), "side": (*shape, HEADS, 3),
        "other": (*shape, HEADS, 3), "table": (HEADS, 2 * LONGEST + 1), "slope": (HEADS,),
        "given": (batch, HEADS, length, length),
    }  # fmt: skip
    return {
        name: draw(*size, seed=seed, dtype=dtype).requires_grad_() for seed, (name, size) in enumerate(shapes.items())
    }


def by_blocks(q: Tensor, k: Tensor, v: Tensor, p: Positions, *, scale: float, bias: Bias | None, rows: int) -> Tensor:
    """The block-wise ways with blocks of a few queries."""
    bias = bias.placed(p, HEADS) if isinstance(bias, Toeplitz) else bias
    if isinstance(bias, Sum):
        bias = Sum(tuple(term.placed(p, HEADS) if isinstance(term, Toeplitz) else term for term in bias.terms))
    if of_distance(bias, q):
        return text_attention(q, k, v, p, scale=scale, bias=bias, dropout=0.0, rows=rows)
    q, k, u = ((t.reshape(1, -1, *t.shape[-2:]) if p.packed else t).transpose(1, 2) for t in (q, k, v))
    y = row_attention(q, k, u, p, scale=scale, bias=bias, dropout=0.0, rows=rows)
    return y.transpose(1, 2).reshape(v.shape)


Way = Callable[..., Tensor]


def check_blockwise(way: Way, p: Positions, form: str, dtype: torch.dtype = torch.float64) -> None:
    """Output and every gradient are those of the dense way, on real tokens."""
    tensors = inputs(p, dtype)
    same = {torch.float64: 1e-10, torch.float32: 1e-5}[dtype]
    results = []
    for attention in (attend_dense, way):
        bias = FORMS[form](tensors, p) if form != "none" else None
        y = attention(tensors["q"], tensors["k"], tensors["v"], p, scale=0.7, bias=bias)
        assert y.shape == tensors["v"].shape, "the output must have the shape of the values"
        assert y.isfinite().all(), "the output must be finite, pads and all"
        weight = draw(*y.shape, seed=99, dtype=dtype) * p.valid[..., None, None]
        found = torch.autograd.grad((y * weight).sum(), list(tensors.values()), allow_unused=True)
        zeros = [torch.zeros_like(t) if g is None else g for t, g in zip(tensors.values(), found, strict=True)]
        results.append([y[p.valid], *zeros])
    if not p.valid.any():
        return
    for name, one, other in zip(("output", *tensors), *results, strict=True):
        what = name if name == "output" else f"gradient of {name}"
        moved = difference(one, other)
        assert moved < same * (1 if name == "output" else 10), f"{what} must be that of the dense way, is {moved} away"


def attend_dense(q: Tensor, k: Tensor, v: Tensor, p: Positions, *, scale: float, bias: Bias | None) -> Tensor:
    return attend(q, k, v, p, scale=scale, bias=bias, backend="dense")
