"""Positional encodings that fit any attention: one protocol, one encoding a file."""

from ._bias import Bias, Cumulative, Dense, Distance, LowRank, Profile, RelativeValue, Sum
from ._compose import Composed
from ._containers import EveryLayer, Once, PerLayer, Together, in_stack
from ._find import build, load, names, num_parameters, stack, table
from ._positions import Positions
from ._protocol import PositionalEncoding, Size
from .alibi import Alibi
from .cape import Cape
from .convolutional import Convolutional
from .cope import Cope
from .cpb import Cpb
from .deberta import Deberta
from .distance_profile import DistanceProfile
from .fire import Fire
from .forgetting import Forgetting
from .fourier import Fourier
from .grouped import Grouped
from .kerple import Kerple
from .learned import Learned
from .none import NoPositions
from .offset import Offset
from .persistent import Persistent
from .pope import Pope
from .randomized import Randomized
from .rope import Rope
from .sandwich import Sandwich
from .shape import Shape
from .shaw import Shaw
from .sinusoidal import Sinusoidal
from .t5_bias import T5Bias
from .toeplitz import Toeplitz
from .transformer_xl import TransformerXl
from .tupe import Tupe

__all__ = [
    "Alibi",
    "Bias",
    "Cape",
    "Composed",
    "Convolutional",
    "Cope",
    "Cpb",
    "Cumulative",
    "Deberta",
    "Dense",
    "Distance",
    "DistanceProfile",
    "EveryLayer",
    "Fire",
    "Forgetting",
    "Fourier",
    "Grouped",
    "Kerple",
    "Learned",
    "LowRank",
    "NoPositions",
    "Offset",
    "Once",
    "PerLayer",
    "Persistent",
    "Pope",
    "PositionalEncoding",
    "Positions",
    "Profile",
    "Randomized",
    "RelativeValue",
    "Rope",
    "Sandwich",
    "Shape",
    "Shaw",
    "Sinusoidal",
    "Size",
    "Sum",
    "T5Bias",
    "Toeplitz",
    "Together",
    "TransformerXl",
    "Tupe",
    "build",
    "in_stack",
    "load",
    "names",
    "num_parameters",
    "stack",
    "table",
]
