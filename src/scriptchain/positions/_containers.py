"""Which encoding acts at which layer: the encoder asks `encodings[layer]` and knows no more."""

from torch import nn

from ._positions import Positions
from ._protocol import PositionalEncoding
from .none import NoPositions


class Once(nn.Module):
    """The encoding at the first layer, and none after it: the classic place of what is added to the stream."""

    def __init__(self, encoding: PositionalEncoding):
        super().__init__()
        self.encoding = encoding
        self.rest = NoPositions(encoding.size)

    def __getitem__(self, layer: int) -> PositionalEncoding:
        return self.encoding if layer == 0 else self.rest

    def place(self, p: Positions) -> Positions:
        return self.encoding.place(p)
