"""Which encoding acts at which layer: the encoder asks `encodings[layer]` and knows no more."""

from collections.abc import Callable, Sequence

from torch import nn

from ._compose import Composed
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


class PerLayer(nn.Module):
    """A pattern of encodings that repeats down the stack: `[rope, none]` is rope at layers 0, 2, 4 ...

    With `shared`, all layers of one entry of the pattern have one set of parameters. Coordinates are those that the
    first layer's encoding gives.
    """

    def __init__(self, pattern: Sequence[Callable[[], PositionalEncoding]], num_layers: int, *, shared: bool = False):
        super().__init__()
        self.period = len(pattern)
        made = len(pattern) if shared else num_layers
        self.encodings = nn.ModuleList(pattern[number % len(pattern)]() for number in range(made))

    def __getitem__(self, layer: int) -> PositionalEncoding:
        encoding = self.encodings[layer if layer < len(self.encodings) else layer % self.period]
        assert isinstance(encoding, PositionalEncoding)
        return encoding

    def place(self, p: Positions) -> Positions:
        return self[0].place(p)


class Together(nn.Module):
    """Several containers at once: at each layer the sum of what they have there."""

    def __init__(self, containers: Sequence["Container"], num_layers: int):
        super().__init__()
        self.containers = nn.ModuleList(containers)
        # In a plain list: the containers hold these modules already, and each must be saved once.
        self._layers = [Composed(*(inner[layer] for inner in containers)) for layer in range(num_layers)]

    def __getitem__(self, layer: int) -> PositionalEncoding:
        return self._layers[layer]

    def place(self, p: Positions) -> Positions:
        return self._layers[0].place(p)


Container = Once | EveryLayer | PerLayer | Together


def in_stack(make: Callable[[], PositionalEncoding], *, shared: bool = False) -> Once | EveryLayer:
    """The usual place of an encoding: at every layer if it acts inside attention, else once, at the first."""
    first = make()
    if not first.every_layer:
        return Once(first)
    rest = iter([first])  # the one that told where it acts is the first layer's: nothing is drawn for nothing
    return EveryLayer(lambda: next(rest, None) or make(), first.size.num_layers, shared=shared)
