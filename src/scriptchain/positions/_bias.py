"""What an encoding adds to the attention scores, kept unexpanded until `attend` needs it.

A bias is in logits, after the scale. `attend` alone knows pads, segments and which form is cheapest.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from jaxtyping import Float, Num
from torch import Tensor

from ._positions import Positions


class Bias(ABC):
    """A term of the attention scores. The set of forms is small and closed: `attend` must know each."""

    @abstractmethod
    def dense(self) -> Float[Tensor, "batch heads queries keys"]:
        """The whole term; the batch axis may be 1."""


class Dense(Bias):
    """A term that is given as a tensor."""

    def __init__(self, scores: Float[Tensor, "batch heads queries keys"]):
        self.scores = scores

    def dense(self) -> Float[Tensor, "batch heads queries keys"]:
        return self.scores


class Distance(Bias):
    """A function of delta = key's coordinate - query's coordinate, one curve a head.

    `curve` maps distances of shape `(...)` to logits of shape `(heads, ...)`. Distances are float32, or float64 where
    the queries are: in a half type 257 would be 256.
    """

    def __init__(self, curve: Callable[[Tensor], Tensor], p: Positions, like: Tensor):
        self.curve = curve
        self.p = p
        self.dtype = torch.promote_types(like.dtype, torch.float32)

    def delta(self) -> Num[Tensor, "batch queries keys"]:
        """Key's coordinate - query's coordinate, in the coordinates' own type."""
        coordinate = self.p.coordinate.reshape(1, -1) if self.p.packed else self.p.coordinate
        return coordinate.unsqueeze(-2) - coordinate.unsqueeze(-1)

    def dense(self) -> Float[Tensor, "batch heads queries keys"]:
        delta = self.delta()
        if self.p.coordinate is self.p.index:  # counted from 0: one value a distance, whatever the batch
            length = delta.shape[-1]
            curve = self.curve(torch.arange(1 - length, length, device=delta.device, dtype=self.dtype))
            return curve[:, delta + (length - 1)].transpose(0, 1)
        return self.curve(delta.to(self.dtype)).transpose(0, 1)
