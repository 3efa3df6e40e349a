"""The laws of positional encodings, runnable on anyone's module: `check(encoding_or_adapter)`.

The tests of this project run the same laws over every encoding; one law a file.
"""

from .adapter import Adapter, NotAsked
from .inputs import draw
from .kit import Verdict, check
from .laws import LAWS
from .reference import Reference
from .subject import Claims

__all__ = ["LAWS", "Adapter", "Claims", "NotAsked", "Reference", "Verdict", "check", "draw"]
