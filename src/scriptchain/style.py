"""How pictures and pages look: one style for every figure, one frame for every page."""

from contextlib import AbstractContextManager

import matplotlib
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

INK, FIRST, SECOND = "#333333", "#2a6fb0", "#c4572e"


def style() -> AbstractContextManager[None]:
    """Of every picture; the salt makes the names inside an SVG the same each time."""
    return matplotlib.rc_context(
        {
            "font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": INK,
            "svg.hashsalt": "scriptchain",
        }
    )  # fmt: skip


def environment(package: str) -> Environment:
    """A package's own templates and the frame around them; every text that comes from data is escaped."""
    loaders = ChoiceLoader([PackageLoader(package), PackageLoader("scriptchain")])
    return Environment(loader=loaders, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
