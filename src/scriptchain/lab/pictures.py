"""Pictures of a depth report: gradients, tokens, attention, positions, layers, the map of heads, cost, a cure."""

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..report import shown
from ..style import FIRST, INK, SECOND, style
from .thresholds import THRESHOLDS

THIRD = "#5b8c3a"
Layers = Sequence[Mapping[str, Any]]


def draw(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(caption, data URI of an SVG) of each picture whose numbers are there; the same report gives the same bytes."""
    matplotlib.use("Agg")
    pictures: list[tuple[str, Callable[[Mapping[str, Any]], Figure | None]]] = [
        ("Gradients by layer: of the stream beside that at the last layer, and of query and key weights beside value "
         "weights.", _gradients),
        ("How alike tokens are: within a text, across texts, and what differs once the mean of all texts is out.",
         _tokens),
        ("Entropy of each head's attention, beside a uniform look.", _entropy),
        ("Position and words as shares of the stream's variance, and how well a probe reads places (0 is chance).",
         _positions),
        ("What each layer is for: how it turns the stream, and how far answers move without it.", _use),
        ("Where position is read: how far answers move when one head's positions are scrambled.", _map),
        ("Operations of the layers, summed from below.", _cost),
        ("What depth does to training: fitted and held-out accuracy.", _curves),
        ("The cure: accuracy beside the stack as it is, paired seeds, 95 % t-intervals.", _forest),
    ]  # fmt: skip
    found = []
    with style():
        for caption, make in pictures:
            figure = make(report)
            if figure is not None:
                found.append((caption, _uri(figure)))
    return found


def _uri(figure: Figure) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode()


def _series(layers: Layers, key: str) -> tuple[list[int], list[float]]:
    points = [(row["layer"], row[key]) for row in layers if row.get(key) is not None and row[key] == row[key]]
    return [layer for layer, _ in points], [float(value) for _, value in points]


def _canvas(width: float = 7.2, height: float = 2.9) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.set_xlabel("layer (0: what enters)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure, axes


def _limit(axes: Axes, verdict: str, text: str) -> None:
    value = THRESHOLDS[verdict].value
    axes.axhline(value, color=INK, linewidth=0.8, linestyle=":")
    axes.annotate(text, (0.995, value), xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=8)


def _gradients(report: Mapping[str, Any]) -> Figure:
    figure, axes = _canvas()
    for key, label, color in (("gradient", "stream", FIRST), ("query_key_gradient", "queries and keys", SECOND)):
        layers, values = _series(report["layers"], key)
        positive = [(layer, value) for layer, value in zip(layers, values, strict=True) if value > 0]
        if positive:
            axes.plot(*zip(*positive, strict=True), color=color, marker="o", markersize=3, label=label)
    axes.set(yscale="log", ylabel="relative norm")
    _limit(axes, "query_key_starvation", "ill below")
    axes.legend(frameon=False)
    return figure


def _tokens(report: Mapping[str, Any]) -> Figure:
    figure, axes = _canvas()
    for key, label, color in (
        ("cosine_within", "cosine within a text", FIRST), ("cosine_across", "cosine across texts", THIRD),
        ("centered_residual", "what differs inside a text", SECOND),
    ):  # fmt: skip
        axes.plot(*_series(report["layers"], key), color=color, marker="o", markersize=3, label=label)
    axes.set_ylim(min(-0.05, axes.get_ylim()[0]), 1.05)
    _limit(axes, "rank_collapse", "collapse below")
    axes.legend(frameon=False)
    return figure


def _entropy(report: Mapping[str, Any]) -> Figure | None:
    rows = [row["head_entropy"] for row in report["layers"] if row.get("head_entropy")]
    if not rows or len({len(row) for row in rows}) > 1:
        return None
    heads, layers = len(rows[0]), [row["layer"] for row in report["layers"] if row.get("head_entropy")]
    figure, axes = _canvas(height=1.4 + 0.16 * heads)
    image = axes.imshow(
        np.array(rows).T, aspect="auto", cmap="viridis", vmin=0, vmax=1, interpolation="nearest",
        extent=(layers[0] - 0.5, layers[-1] + 0.5, heads + 0.5, 0.5),
    )  # fmt: skip
    axes.set(ylabel="head", xlabel="layer")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    figure.colorbar(image, label="entropy, 1 is uniform")
    return figure


def _positions(report: Mapping[str, Any]) -> Figure | None:
    layers, share = _series(report["layers"], "position_share")
    if not layers:
        return None
    figure, axes = _canvas()
    at, words = _series(report["layers"], "content_share")
    if at == layers:
        labels = ("position", "words")
        axes.stackplot(layers, share, words, colors=(SECOND, FIRST), alpha=0.35, labels=labels, linewidth=0)
    else:
        axes.plot(layers, share, color=SECOND, label="position")
    axes.plot(*_series(report["layers"], "probe"), color=INK, marker="o", markersize=3, label="places read by a probe")
    axes.set(ylim=(-0.05, 1.08), ylabel="share")
    axes.legend(frameon=False, loc="upper right", ncols=3)
    return figure


def _use(report: Mapping[str, Any]) -> Figure:
    figure, axes = _canvas()
    for shift, key, label, color in (
        (-0.2, "turn", "turn: 1 - cosine before and after", FIRST),
        (0.2, "skip", "answers move without it", SECOND),
    ):
        layers, values = _series(report["layers"], key)
        axes.bar([layer + shift for layer in layers], values, 0.38, color=color, label=label)
    axes.set_xlabel("layer")
    axes.legend(frameon=False)
    return figure


def _map(report: Mapping[str, Any]) -> Figure | None:
    found = report.get("map")
    if not found:
        return None
    change = np.array(found["change"], float)
    figure, axes = _canvas(height=1.4 + 0.16 * change.shape[1])
    image = axes.imshow(
        change.T, aspect="auto", cmap="magma_r", vmin=0, vmax=max(1e-6, float(np.nanmax(change))),
        interpolation="nearest", extent=(0.5, len(change) + 0.5, change.shape[1] + 0.5, 0.5),
    )  # fmt: skip
    entering = 0.0 if found["input"] is None else found["input"]
    axes.set(xlabel="layer", ylabel="head", title=f"scrambled where it enters the stream: {entering:.2g}")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    figure.colorbar(image, label="answers move by")
    return figure


def _cost(report: Mapping[str, Any]) -> Figure | None:
    flops = report["cost"]["flops"].get("by_layer")
    if not flops:
        return None
    figure, axes = _canvas(height=2.4)
    axes.plot(range(1, len(flops) + 1), np.cumsum(flops), color=FIRST, marker="o", markersize=3)
    law = report["cost"]["flops"]["depth"]
    if law["law"]:
        axes.set_title(f"{law['law']} in depth, exponent {law['exponent']['value']:.2f}")
    axes.set(xlabel="layers", ylabel="operations", ylim=(0, None))
    return figure


def _curves(report: Mapping[str, Any]) -> Figure | None:
    found = report.get("curves")
    if not found:
        return None
    figure, axes = _canvas()
    depths = [one["depth"] for one in found["points"]]
    for key, label, color in (("fitted", "fitted", FIRST), ("accuracy", "held out", SECOND)):
        values = [100 * one[key]["value"] for one in found["points"]]
        errors = [100 * (one[key]["high"] - one[key]["value"]) for one in found["points"]]
        axes.errorbar(depths, values, errors, color=color, marker="o", markersize=3, capsize=3, label=label)
    axes.set(xlabel="layers", ylabel="accuracy (%)", ylim=(0, 103))
    axes.legend(frameon=False)
    return figure


def _forest(report: Mapping[str, Any]) -> Figure | None:
    cure = report.get("cure")
    if not cure:
        return None
    arms = cure["arms"][::-1]
    figure = Figure(figsize=(7.2, 0.8 + 0.42 * len(arms)), layout="constrained")
    axes = figure.subplots()
    for place, arm in enumerate(arms):
        one = arm["difference"]
        color = SECOND if arm["kind"] == "remedy" else FIRST
        axes.plot([100 * one["low"], 100 * one["high"]], [place, place], color=color, linewidth=2)
        axes.plot(100 * one["value"], place, "o", color=color, markersize=6)
        for trial in arm["trials"]:
            base = next(other for other in cure["arms"] if other["kind"] == "as it is")["trials"]
            own = next(other["accuracy"] for other in base if other["seed"] == trial["seed"])
            axes.plot(100 * (trial["accuracy"] - own), place, "|", color=INK, markersize=9)
    axes.axvline(0, color=INK, linewidth=0.8, linestyle=":")
    axes.set_yticks(range(len(arms)), [shown(arm["name"], 40) for arm in arms])
    axes.set_xlabel("points of accuracy beside the stack as it is (a tick a seed)")
    return figure
