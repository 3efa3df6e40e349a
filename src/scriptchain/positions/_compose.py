"""Several encodings as one: `a + b`."""

from jaxtyping import Float
from torch import Tensor, nn

from ..errors import ConfigError
from ._bias import Bias
from ._positions import Positions
from ._protocol import PositionalEncoding


class Composed(PositionalEncoding):
    """Coordinates pass through the parts in their order, what is added to the stream and to the scores adds up.

    *Raises*: ConfigError if two parts rotate queries and keys, or if a part cannot serve the coordinates that
    another gives it.
    """

    def __init__(self, *parts: PositionalEncoding):
        flat = [inner for part in parts for inner in (part.each() if isinstance(part, Composed) else [part])]
        super().__init__(flat[0].size)
        self.parts = nn.ModuleList(flat)
        rotators = [_name(part) for part in flat if type(part).rotate is not PositionalEncoding.rotate]
        if len(rotators) > 1:
            raise ConfigError(f"at most one encoding must rotate queries and keys, got {' + '.join(rotators)}")
        needed = self.coordinates(self.size.max_seq_len)
        for part in flat:
            if part.limit is not None and (needed is None or needed > part.limit):
                reach = "real coordinates" if needed is None else f"coordinates up to {needed - 1}"
                raise ConfigError(
                    f"{_name(part)} must have a row for each coordinate, got {part.limit} rows for {reach}",
                    hint="an encoding without a length limit" if needed is None else f"{needed} rows",
                )
        self.every_layer = any(part.every_layer for part in flat)

    def coordinates(self, max_seq_len: int) -> int | None:
        needed: int | None = max_seq_len
        for part in self.each():
            needed = None if needed is None else part.coordinates(needed)
        return needed

    def place(self, p: Positions) -> Positions:
        for part in self.each():
            p = part.place(p)
        return p

    def embed(self, x_TD: Float[Tensor, "*T D"], p: Positions) -> Float[Tensor, "*T D"]:
        for part in self.each():
            x_TD = part.embed(x_TD, p)
        return x_TD

    def rotate(
        self, q_THE: Float[Tensor, "*T H E"], k_THE: Float[Tensor, "*T H E"], p: Positions
    ) -> tuple[Float[Tensor, "*T H F"], Float[Tensor, "*T H F"]]:
        for part in self.each():
            q_THE, k_THE = part.rotate(q_THE, k_THE, p)
        return q_THE, k_THE

    def bias(
        self, x_TD: Float[Tensor, "*T D"], q_THE: Float[Tensor, "*T H E"], k_THE: Float[Tensor, "*T H E"], p: Positions
    ) -> Bias | None:
        total: Bias | None = None
        for part in self.each():
            term = part.bias(x_TD, q_THE, k_THE, p)
            total = term if total is None else total if term is None else total + term
        return total

    def each(self) -> list[PositionalEncoding]:
        """The parts, in their order."""
        return [part for part in self.parts if isinstance(part, PositionalEncoding)]


def _name(part: PositionalEncoding) -> str:
    return type(part).__name__
