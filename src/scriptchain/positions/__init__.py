"""Positional encodings that fit any attention: one protocol, one encoding a file."""

from ._bias import Bias, Dense
from ._containers import Once
from ._find import build, load, names, table
from ._positions import Positions
from ._protocol import PositionalEncoding, Size
from .learned import Learned
from .none import NoPositions
from .sinusoidal import Sinusoidal

__all__ = [
    "Bias",
    "Dense",
    "Learned",
    "NoPositions",
    "Once",
    "PositionalEncoding",
    "Positions",
    "Sinusoidal",
    "Size",
    "build",
    "load",
    "names",
    "table",
]
