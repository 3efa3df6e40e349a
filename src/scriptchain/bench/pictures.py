"""Pictures of a comparison: the differences with their intervals and the margin, and accuracy by length."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt

from ..style import FIRST, INK, SECOND, style

CAPTIONS = {
    "differences.png": "Differences to the baseline with 95 % intervals; the band is the margin.",
    "lengths.png": "Accuracy by the number of words, with 95 % intervals.",
}
SHOWN = 8  # lines that eyes still tell apart


def draw(data: Mapping[str, Any], folder: Path) -> list[str]:
    """Writes the pictures and says their names."""
    names = []
    with style():
        if any(one["difference"] for one in data["candidates"]):
            _differences(data, folder / "differences.png")
            names.append("differences.png")
        if len(data["lengths"]["buckets"]) > 1:
            _lengths(data, folder / "lengths.png")
            names.append("lengths.png")
    return names


def _differences(data: Mapping[str, Any], file: Path) -> None:
    found = sorted((one for one in data["candidates"] if one["difference"]), key=lambda one: one["difference"]["value"])
    figure, axes = plt.subplots(figsize=(6.4, 0.9 + 0.36 * len(found)), layout="constrained")
    margin = 100 * data["margin"]
    axes.axvspan(-margin, margin, color=INK, alpha=0.08, lw=0)
    axes.axvline(0, color=INK, lw=0.8)
    for at, one in enumerate(found):
        gap = one["difference"]
        color = {"better": FIRST, "worse": SECOND}.get(one["verdict"], INK)
        axes.plot([100 * gap["low"], 100 * gap["high"]], [at, at], color=color, lw=1.6)
        axes.plot(100 * gap["value"], at, "o", color=color, ms=5)
        axes.annotate(one["verdict"], (1.01, at), xycoords=("axes fraction", "data"), va="center", color=color, size=8)
    axes.set_yticks(range(len(found)), [one["name"] for one in found])
    axes.set_ylim(-0.6, len(found) - 0.4)
    axes.set_xlabel(f"{data['score']['name']} beside {data['baseline']}, {data['score']['unit']}, better to the right")
    figure.savefig(file, dpi=150)
    plt.close(figure)


def _lengths(data: Mapping[str, Any], file: Path) -> None:
    figure, axes = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
    best = sorted(data["candidates"], key=lambda one: -(one["score"] or 0))[:SHOWN]
    buckets = data["lengths"]["buckets"]
    for number, one in enumerate(best):
        found = data["lengths"]["accuracy"][one["name"]]
        shift = 0.04 * (number - (len(best) - 1) / 2)
        axes.errorbar(
            [at + shift for at in range(len(buckets))], [100 * part["value"] for part in found],
            [[100 * (part["value"] - part["low"]) for part in found],
             [100 * (part["high"] - part["value"]) for part in found]],
            marker="o", ms=4, lw=1.2, elinewidth=0.8, label=one["name"],
        )  # fmt: skip
    axes.set_xticks(range(len(buckets)), buckets)
    axes.set_xlabel("words")
    axes.set_ylabel("accuracy, %")
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.savefig(file, dpi=150)
    plt.close(figure)
