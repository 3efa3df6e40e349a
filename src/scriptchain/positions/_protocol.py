"""The one protocol: the four places where a position can enter a transformer.

The base class does nothing in all four, so overriding nothing is "none". The encoder calls all four, always.
Shape suffixes: T tokens `(B, L)` or `(N,)`, D d_model, H heads, E width of a head.
"""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from ._bias import Bias
from ._positions import Positions


@dataclass(frozen=True)
class Size:
    """The stack that an encoding is built for; `embedding_std` is the scale of the tokens that it is added to."""

    d_model: int
    num_heads: int
    num_layers: int
    max_seq_len: int
    embedding_std: float = 1.0


class PositionalEncoding(nn.Module):
    """Base of every encoding; each hook is the identity until a subclass says otherwise; `a + b` is both at once.

    A subclass is built as `Name(size, *, option=...)`; its keyword options are the keys of `positions_options`.
    The class facts below are what tables, docs and tests read.
    """

    acts: ClassVar[str] = "nowhere"
    every_layer: bool = False  # inside attention at each layer; else once, before the first
    learns: ClassVar[str] = "nothing"
    shift_invariant: ClassVar[bool] = True
    direction_aware: ClassVar[bool] = False
    length_limit: ClassVar[str] = "none"
    encoder_form: ClassVar[str] = "paper"
    source: ClassVar[str] = ""

    limit: int | None = None  # on the instance: coordinates from 0 to below this have what they need

    def __init__(self, size: Size):
        super().__init__()
        self.size = size

    def place(self, p: Positions) -> Positions:
        """Once a forward: other coordinates for the same tokens."""
        return p

    def embed(self, x_TD: Float[Tensor, "*T D"], p: Positions) -> Float[Tensor, "*T D"]:
        """Before a layer: what is added to the stream."""
        return x_TD

    def rotate(
        self, q_THE: Float[Tensor, "*T H E"], k_THE: Float[Tensor, "*T H E"], p: Positions
    ) -> tuple[Float[Tensor, "*T H F"], Float[Tensor, "*T H F"]]:
        """Inside attention: queries and keys after their projections; both may grow to the same wider F."""
        return q_THE, k_THE

    def bias(
        self, x_TD: Float[Tensor, "*T D"], q_THE: Float[Tensor, "*T H E"], k_THE: Float[Tensor, "*T H E"], p: Positions
    ) -> Bias | None:
        """Inside attention: a term of the scores, or None, which keeps the fused kernel.

        `x` is what the projections saw; `q` and `k` are from before `rotate`.
        """
        return None

    def coordinates(self, max_seq_len: int) -> int | None:
        """The limit that coordinates stay below after `place`; None where they are not whole numbers from 0."""
        return max_seq_len

    def __add__(self, other: "PositionalEncoding") -> "PositionalEncoding":
        from ._compose import Composed

        return Composed(self, other)

    @classmethod
    def num_parameters(cls, size: Size) -> int:
        """Learned numbers of one instance at its default options."""
        return 0
