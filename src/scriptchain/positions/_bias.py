"""What an encoding adds to the attention scores, kept unexpanded until `attend` needs it.

A bias is in logits, after the scale. `attend` alone knows pads, segments and which form is cheapest.
"""

from abc import ABC, abstractmethod

from jaxtyping import Float
from torch import Tensor


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
