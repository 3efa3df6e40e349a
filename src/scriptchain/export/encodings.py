"""The picture of an encoding: a row of panels for each hook that does something."""

import io
from collections.abc import Callable

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from ..positions import PositionalEncoding
from ..style import FIRST, INK, style
from .hooks import Effect, measure
from .pictures import draw_vectors

# What each format would say of the moment and the program: the same encoding gives the same bytes.
FORMATS = {"pdf": {"CreationDate": None}, "png": {"Software": None}, "svg": {"Date": None}}
DISTANCE = "distance: key's position - query's (tokens)"


def picture(encoding: PositionalEncoding, name: str, kind: str, dpi: int = 130) -> bytes:
    """What the encoding does, as an image file; `kind` is pdf, png or svg."""
    with style():
        content = io.BytesIO()
        draw(encoding, name).savefig(content, format=kind, dpi=dpi, metadata=FORMATS[kind])
    return content.getvalue()


def draw(encoding: PositionalEncoding, name: str) -> Figure:
    """A row a hook that changes something; where none does, one line that says so."""
    effects = measure(encoding)
    if not effects:
        figure = Figure(figsize=(10, 1.2))
        line = f"{name}: nothing acts; coordinates, stream, queries, keys and scores stay as they are"
        figure.text(0.5, 0.5, line, ha="center", va="center", fontsize=11)
        return figure
    figure = Figure(figsize=(10, 3.8 * len(effects)), layout="constrained")
    for row, effect in zip(figure.subfigures(len(effects), squeeze=False)[:, 0], effects, strict=True):
        ROWS[effect.hook](row, effect, name)
        row.axes[0].set_title("\n".join([row.axes[0].get_title(), *(f"({note})" for note in effect.notes)]))
    return figure


def _place(row: SubFigure, effect: Effect, name: str) -> None:
    axes = row.subplots()
    index = np.arange(len(effect.values))
    axes.plot(index, index, color=INK, linewidth=0.8, linestyle=":", label="left as it is")
    axes.plot(index, effect.values, color=FIRST, marker=".", label=name)
    axes.set(xlabel="number of the token", ylabel="coordinate (tokens)", title=f"{name}: where each token is placed")
    _legend(axes)


def _embed(row: SubFigure, effect: Effect, name: str) -> None:
    draw_vectors(row, effect.values, f"{name}: what is added at each position")


def _rotate(row: SubFigure, effect: Effect, name: str) -> None:
    panels = row.subplots(1, 1 if effect.angles is None else 2, squeeze=False)[0]
    _heads(panels[0], _distances(effect.values), effect.values)
    panels[0].set(xlabel=DISTANCE, ylabel="product of two equal unit vectors",
                  title=f"{name}: query x key, as `rotate` leaves them")  # fmt: skip
    if effect.angles is None:
        return
    turning = np.where(effect.angles > 0, effect.angles, np.nan)  # a log axis has no place for 0
    still = "" if np.isfinite(turning).all() else "; without a point: stands still"
    _heads(panels[1], np.arange(effect.angles.shape[1]), turning, marker="o")
    panels[1].set(xlabel=f"pair of channels, fastest first{still}", ylabel="radians a position", yscale="log",
                  title="how fast each pair of channels turns")  # fmt: skip
    panels[1].set_xlim(-0.5, effect.angles.shape[1] - 0.5)
    panels[1].xaxis.set_major_locator(MaxNLocator(integer=True))


def _bias(row: SubFigure, effect: Effect, name: str) -> None:
    axes = row.subplots()
    _heads(axes, _distances(effect.values), effect.values)
    title = f"{name}: what is added to the scores of the query in the middle"
    axes.set(xlabel=DISTANCE, ylabel="bias (logits)", title=title)


ROWS: dict[str, Callable[[SubFigure, Effect, str], None]] = {
    "place": _place,
    "embed": _embed,
    "rotate": _rotate,
    "bias": _bias,
}


def _distances(values: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.arange(values.shape[1]) - values.shape[1] // 2


def _heads(axes: Axes, x: NDArray[np.int64], values: NDArray[np.float64], marker: str = "") -> None:
    """A line a head; heads that do the same share one."""
    groups: dict[bytes, list[int]] = {}
    for head, row in enumerate(values.round(6) + 0.0):  # + 0.0: -0 and 0 are the same
        groups.setdefault(row.tobytes(), []).append(head)
    colors = list(matplotlib.color_sequences["tab10"])
    if len(groups) > len(colors):
        colors = matplotlib.colormaps["viridis"](np.linspace(0, 0.9, len(groups)))
    for color, heads in zip(colors, groups.values(), strict=False):
        several = "heads " if len(heads) > 1 else "head "
        label = "all heads" if len(heads) == len(values) else several + ", ".join(map(str, heads))
        axes.plot(x, values[heads[0]], color=color, label=label, marker=marker)
    _legend(axes)


def _legend(axes: Axes) -> None:
    """Beside the panel, where it covers nothing."""
    columns = 1 + (len(axes.lines) - 1) // 16
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, fontsize="small", ncols=columns)
