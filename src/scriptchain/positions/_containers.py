"""Which encoding acts at which layer: the encoder asks `encodings[layer]` and knows no more."""

from collections.abc import Callable

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


class EveryLayer(nn.Module):
    """The encoding at every layer: the place of what acts inside attention.

    With `shared`, one set of parameters serves all layers (T5's way); else each layer learns its own.
    """

    def __init__(self, make: Callable[[], PositionalEncoding], num_layers: int, *, shared: bool = False):
        super().__init__()
        self.encodings = nn.ModuleList(make() for _ in range(1 if shared else num_layers))

    def __getitem__(self, layer: int) -> PositionalEncoding:
        encoding = self.encodings[layer if len(self.encodings) > 1 else 0]
        assert isinstance(encoding, PositionalEncoding)
        return encoding

    def place(self, p: Positions) -> Positions:
        return self[0].place(p)


def in_stack(make: Callable[[], PositionalEncoding], *, shared: bool = False) -> Once | EveryLayer:
    """The usual place of an encoding: at every layer if it acts inside attention, else once, at the first."""
    first = make()
    if not first.every_layer:
        return Once(first)
    rest = iter([first])  # the one that told where it acts is the first layer's: nothing is drawn for nothing
    return EveryLayer(lambda: next(rest, None) or make(), first.size.num_layers, shared=shared)
