"""What an encoding adds to the attention scores, kept unexpanded until `attend` needs it.

A bias is in logits, after the scale. `attend` alone knows pads, segments and which form is cheapest.
Shape suffixes: T tokens `(B, L)` or `(N,)`, H heads, M columns of a profile; inside, B batch (1 when packed),
Q queries, K keys.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Float, Num, Shaped
from torch import Tensor

from ._positions import Positions


class Bias(ABC):
    """A term of the attention scores. The set of forms is small and closed: `attend` must know each."""

    acts_on_values: bool = False  # whether `values` adds anything, so that the weights must be formed

    @abstractmethod
    def dense(self) -> Float[Tensor, "batch heads queries keys"]:
        """The whole term; the axes of batch, queries and keys may be 1."""

    def values(self, weights_BHQK: Float[Tensor, "B H Q K"]) -> Float[Tensor, "B H Q F"]:
        """What the weights add to the output beside the weighted values, where the form `acts_on_values`."""
        raise NotImplementedError

    def __add__(self, other: "Bias") -> "Bias":
        return Sum((*terms(self), *terms(other)))


class Sum(Bias):
    """Several terms at once: what `a + b` of two biases is."""

    def __init__(self, terms: tuple[Bias, ...]):
        self.terms = terms
        self.acts_on_values = any(term.acts_on_values for term in terms)

    def dense(self) -> Float[Tensor, "batch heads queries keys"]:
        first, *rest = (term.dense() for term in self.terms)
        return sum(rest, start=first)

    def values(self, weights_BHQK: Float[Tensor, "B H Q K"]) -> Float[Tensor, "B H Q F"]:
        first, *rest = (term.values(weights_BHQK) for term in self.terms if term.acts_on_values)
        return sum(rest, start=first)


def terms(bias: Bias | None) -> tuple[Bias, ...]:
    """The terms of a sum; a bias that is none is its own only term."""
    if bias is None:
        return ()
    return bias.terms if isinstance(bias, Sum) else (bias,)


class Dense(Bias):
    """A term that is given as a tensor."""

    def __init__(self, scores: Float[Tensor, "batch heads queries keys"]):
        self.scores = scores

    def dense(self) -> Float[Tensor, "batch heads queries keys"]:
        return self.scores


class LowRank(Bias):
    """The product of a vector of each query and a vector of each key, head by head: u[i] . w[j]."""

    def __init__(self, u_THR: Float[Tensor, "*T H R"], w_THR: Float[Tensor, "*T H R"], p: Positions):
        self.u_BHQR, self.w_BHKR = batched(u_THR, p), batched(w_THR, p)

    def dense(self) -> Float[Tensor, "batch heads queries keys"]:
        return self.u_BHQR @ self.w_BHKR.transpose(-1, -2)


class Distance(Bias):
    """A function of delta = key's coordinate - query's coordinate, one curve a head.

    `curve` maps distances of shape `(...)` to logits of shape `(heads, ...)`. Distances are float32, or float64 where
    the queries are: in a half type 257 would be 256. With `by_length` the curve is called as `curve(delta, n)`, where
    n is the number of tokens of the query's text, a float that broadcasts against delta.
    """

    def __init__(self, curve: Callable[..., Tensor], p: Positions, like: Tensor, *, by_length: bool = False):
        self.curve = curve
        self.p = p
        self.dtype = torch.promote_types(like.dtype, torch.float32)
        self.by_length = by_length

    def dense(self) -> Float[Tensor, "batch heads queries keys"]:
        n = rows_of(self.p.length, self.p)
        if not counted(self.p) or (self.by_length and self.p.packed):
            return self.at(between(self.p), n.unsqueeze(-1)).transpose(0, 1)
        curve = self.at(
            distances(self.p, self.dtype), n[:, :1]
        )  # one value a distance, and a text if its length counts
        if self.p.contiguous:
            square = as_square(curve)
            return square.transpose(0, 1) if self.by_length else square.unsqueeze(0)
        far = _column(between(self.p))
        if not self.by_length:
            return curve[:, far].transpose(0, 1)
        batch = torch.arange(far.shape[0], device=far.device)[:, None, None]
        return curve[:, batch, far].transpose(0, 1)

    def at(self, delta: Num[Tensor, "*S"], n: Num[Tensor, "*N"]) -> Float[Tensor, "heads ..."]:
        """The curve at these distances, in texts of `n` tokens where that counts."""
        delta = delta.to(self.dtype)
        return self.curve(delta, n.to(self.dtype)) if self.by_length else self.curve(delta)


class Profile(Bias):
    """What a token contains times a function of distance: sum over m of side[i][m] basis[m](delta), head by head.

    `basis` maps distances of shape `(...)` to `(heads, columns, ...)`; one head there serves all. `side` holds each
    query's numbers, or with `of="key"` each key's. Distances are numbers as in `Distance`.
    """

    def __init__(
        self, side_THM: Float[Tensor, "*T H M"], basis: Callable[[Tensor], Tensor], p: Positions,
        *, of: Literal["query", "key"] = "query",
    ):  # fmt: skip
        self.side_BHTM = batched(side_THM, p)
        self.basis = basis
        self.p = p
        self.dtype = torch.promote_types(side_THM.dtype, torch.float32)
        self.of = of

    def dense(self) -> Float[Tensor, "batch heads queries keys"]:
        of_key = self.of == "key"
        side = self.side_BHTM.to(self.dtype)
        if not counted(self.p):
            delta = between(self.p)
            scores = self.pairs(side, delta.transpose(-1, -2) if of_key else delta)
        else:
            products = side @ self.basis(distances(self.p, self.dtype))  # one a token and distance
            if self.p.contiguous:  # a key meets the queries before it at positive distances: the other way round
                scores = _skewed(products.flip(-1) if of_key else products)
            else:
                far = _column(between(self.p)).unsqueeze(1).expand(-1, side.shape[1], -1, -1)
                scores = products.gather(-1, far.transpose(-1, -2) if of_key else far)
        return scores.transpose(-1, -2) if of_key else scores

    def pairs(self, side_BHTM: Float[Tensor, "B H T M"], delta_BTO: Num[Tensor, "B T O"]) -> Float[Tensor, "B H T O"]:
        """Each token against others at these distances of its own, with a curve a pair: for real coordinates."""
        basis = self.basis(delta_BTO.to(self.dtype))  # heads, columns, batch, own tokens, other tokens
        return torch.einsum("bhtm,hmbto->bhto", side_BHTM, basis.expand(side_BHTM.shape[1], *basis.shape[1:]))


class RelativeValue(Bias):
    """No term of the scores: each weight also brings a vector of its distance to the output.

    `basis` maps distances `(...)` to `(width of values, ...)`.
    """

    acts_on_values = True

    def __init__(self, basis: Callable[[Tensor], Tensor], p: Positions, like: Tensor):
        self.basis = basis
        self.p = p
        self.dtype = torch.promote_types(like.dtype, torch.float32)

    def dense(self) -> Float[Tensor, "batch heads queries keys"]:
        return torch.zeros(1, 1, 1, 1, dtype=self.dtype, device=self.p.valid.device)

    def values(self, weights_BHQK: Float[Tensor, "B H Q K"]) -> Float[Tensor, "B H Q F"]:
        if counted(self.p) and self.p.contiguous:
            basis_FBQK = as_square(self.basis(distances(self.p, self.dtype))).unsqueeze(1)
            basis_FBQK = basis_FBQK.expand(-1, weights_BHQK.shape[0], -1, -1)
        else:
            basis_FBQK = self.basis(between(self.p).to(self.dtype))
        return torch.einsum("bhqk,fbqk->bhqf", weights_BHQK.to(self.dtype), basis_FBQK).to(weights_BHQK.dtype)


class Cumulative(Bias):
    """Logarithms of gates, summed over the tokens between: what a text has passed since a key.

    Of a key to the left the `forward` gates of the tokens after it up to the query count, of a key to the right the
    `backward` gates of the tokens from the query to before it. Pads pass nothing on and take nothing away.
    """

    def __init__(self, forward_TH: Float[Tensor, "*T H"], backward_TH: Float[Tensor, "*T H"], p: Positions):
        exact = torch.promote_types(forward_TH.dtype, torch.float32)
        self.forward_BHT, self.backward_BHT = (
            batched(gates.to(exact).unsqueeze(-1), p).squeeze(-1) for gates in (forward_TH, backward_TH)
        )
        self.p = p

    def dense(self) -> Float[Tensor, "batch heads queries keys"]:
        return self.rows(*self.sums(), slice(None))

    def sums(self) -> tuple[Float[Tensor, "B H L"], Float[Tensor, "B H L"]]:
        """Running sums of the forward gates, up to each token, and of the backward gates, before it."""
        valid = rows_of(self.p.valid, self.p).unsqueeze(1)
        forward, backward = (gates.masked_fill(~valid, 0) for gates in (self.forward_BHT, self.backward_BHT))
        return forward.cumsum(-1), backward.cumsum(-1) - backward

    def rows(
        self, left_BHL: Float[Tensor, "B H L"], right_BHL: Float[Tensor, "B H L"], queries: slice
    ) -> Float[Tensor, "B H Q L"]:
        """The term of these queries alone, from the `sums`."""
        index = rows_of(self.p.index, self.p).unsqueeze(1)
        before = index.unsqueeze(-2) <= index[..., queries].unsqueeze(-1)
        to_left = left_BHL[..., queries].unsqueeze(-1) - left_BHL.unsqueeze(-2)
        to_right = right_BHL.unsqueeze(-2) - right_BHL[..., queries].unsqueeze(-1)
        return torch.where(before, to_left, to_right)


def counted(p: Positions) -> bool:
    """Whether coordinates are the tokens' own indices, so that a distance is a whole number below the length."""
    return p.coordinate is p.index


def between(p: Positions) -> Num[Tensor, "batch queries keys"]:
    """Key's coordinate - query's coordinate, in the coordinates' own type."""
    coordinate = rows_of(p.coordinate, p)
    return coordinate.unsqueeze(-2) - coordinate.unsqueeze(-1)


def distances(p: Positions, dtype: torch.dtype) -> Float[Tensor, "points"]:
    """All that can lie between two tokens of a batch of counted positions: 1 - L .. L - 1."""
    length = p.index.shape[-1]
    return torch.arange(1 - length, length, device=p.index.device, dtype=dtype)


def _column(delta: Num[Tensor, "batch queries keys"]) -> Num[Tensor, "batch queries keys"]:
    """Where each distance stands among `distances`."""
    return delta + (delta.shape[-1] - 1)


def as_square(curve: Float[Tensor, "*X points"]) -> Float[Tensor, "*X L L"]:
    """The values of distances 1 - L .. L - 1 where query i and key j meet, columns standing as far apart as tokens."""
    return curve.unfold(-1, (curve.shape[-1] + 1) // 2, 1).flip(-2)


def _skewed(products: Float[Tensor, "*X L points"]) -> Float[Tensor, "*X L L"]:
    """The same where each query has values of its own: row i begins L - 1 - i columns later."""
    length = products.shape[-2]
    if length == 1:
        return products
    flat = products.flatten(-2).narrow(-1, length - 1, length * (2 * length - 2))
    return flat.unflatten(-1, (length, 2 * length - 2))[..., :length]


def rows_of(x_T: Shaped[Tensor, "*T"], p: Positions) -> Shaped[Tensor, "B L"]:
    return x_T.reshape(1, -1) if p.packed else x_T


def batched(x_THM: Float[Tensor, "*T H M"], p: Positions) -> Float[Tensor, "B H L M"]:
    return (x_THM.reshape(1, -1, *x_THM.shape[-2:]) if p.packed else x_THM).transpose(1, 2)
