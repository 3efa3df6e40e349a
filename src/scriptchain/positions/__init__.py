"""Positional encodings that fit any attention: one protocol, one encoding a file."""

from ._bias import Bias, Cumulative, Dense, Distance, LowRank, Profile, RelativeValue, Sum
from ._containers import EveryLayer, Once, in_stack
from ._find import build, load, names, table
from ._positions import Positions
from ._protocol import PositionalEncoding, Size
from .alibi import Alibi
from .cpb import Cpb
from .fourier import Fourier
from .kerple import Kerple
from .learned import Learned
from .none import NoPositions
from .rope import Rope
from .sinusoidal import Sinusoidal
from .t5_bias import T5Bias
from .toeplitz import Toeplitz

__all__ = [
    "Alibi",
    "Bias",
    "Cpb",
    "Cumulative",
    "Dense",
    "Distance",
    "EveryLayer",
    "Fourier",
    "Kerple",
    "Learned",
    "LowRank",
    "NoPositions",
    "Once",
    "PositionalEncoding",
    "Positions",
    "Profile",
    "RelativeValue",
    "Rope",
    "Sinusoidal",
    "Size",
    "Sum",
    "T5Bias",
    "Toeplitz",
    "build",
    "in_stack",
    "load",
    "names",
    "table",
]
