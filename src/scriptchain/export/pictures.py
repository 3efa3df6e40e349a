"""What people would rather look at: training curves, the confusion matrix, and what the positions have learned."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
from matplotlib.figure import Figure, SubFigure
from numpy.typing import NDArray

from ..model.pipeline import Network
from ..positions import Composed, Positions
from ..report import shown
from ..style import FIRST, INK, SECOND, style


def draw_all(
    folder: Path, network: Network | None, history: Sequence[Mapping[str, Any]], data: Mapping[str, Any], name: str
) -> list[str]:
    """Writes every picture of a run and returns the file names; positions only where the encoding adds something.

    A linear model, without a network, has no positions, and what is fitted at once has no epochs.
    """
    matplotlib.use("Agg")
    with style():
        figures = {"curves.png": curves(history, data["kept_epoch"])} if "loss" in history[0] else {}
        figures["confusion.png"] = confusion(data["confusion"]["labels"], np.array(data["confusion"]["rows"]))
        vectors = None if network is None else position_vectors(network)
        if vectors is not None:
            figures["positions.png"] = positions(vectors, name)
        for file, figure in figures.items():
            figure.savefig(folder / file, dpi=130, metadata={"Software": None})
    return list(figures)


def curves(history: Sequence[Mapping[str, Any]], kept_epoch: int) -> Figure:
    """Loss and accuracy by epoch, training beside validation, the kept epoch marked."""
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    epochs = [record["epoch"] for record in history]
    panels = zip(figure.subplots(1, 2), ("loss", "accuracy"), ("cross-entropy", "accuracy (%)"), (1, 100), strict=True)
    for axes, name, label, scale in panels:
        for key, color, who in ((name, FIRST, "training"), (f"validation_{name}", SECOND, "validation")):
            if key in history[0]:
                axes.plot(epochs, [scale * record[key] for record in history], color=color, label=who, marker=".")
        axes.axvline(kept_epoch, color=INK, linewidth=0.8, linestyle=":", label="kept")
        axes.set(xlabel="epoch", ylabel=label)
        axes.xaxis.get_major_locator().set_params(integer=True)
    figure.axes[0].legend(frameon=False)
    return figure


def confusion(labels: Sequence[str], cells: NDArray[np.int64]) -> Figure:
    """Rows are the truth and columns the prediction; color is the share of the true class, the number the rows."""
    size = max(3.4, 0.42 * len(labels) + 2)
    figure = Figure(figsize=(size + 0.8, size), layout="constrained")
    axes = figure.subplots()
    shares = cells / np.maximum(1, cells.sum(1, keepdims=True))
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    names = [shown(label, 18).replace("$", r"\$") for label in labels]
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="predicted", ylabel="true")
    if len(labels) <= 30:
        for (row, column), count in np.ndenumerate(cells):
            if count:
                color = "white" if shares[row, column] > 0.55 else INK
                axes.text(column, row, str(count), ha="center", va="center", color=color, fontsize=8)
    figure.colorbar(image, label="share of the true class", shrink=0.8)
    return figure


def position_vectors(network: Network) -> NDArray[np.float32] | None:
    """What the encoding adds at each position, shape `(max_seq_len, d_model)`; None if it adds nothing."""
    encoding = network.encoder.encodings[0]
    length = encoding.size.max_seq_len
    with torch.inference_mode():
        p = Positions.from_lengths(torch.tensor([length]))
        # Each part alone: a convolution behind a table would show its mixture of the table's rows.
        parts = encoding.each() if isinstance(encoding, Composed) else [encoding]
        nothing = torch.zeros(1, length, encoding.size.d_model)
        added = torch.stack([part.embed(nothing, p)[0] for part in parts]).sum(0)
    return added.numpy() if bool(added.any()) else None


def positions(vectors: NDArray[np.float32], name: str) -> Figure:
    """The position table as a heat map, and the cosine similarity between each two positions."""
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    draw_vectors(figure, vectors, f"{name}: what is added at each position")
    return figure


def draw_vectors(figure: Figure | SubFigure, vectors: NDArray[np.floating], title: str) -> None:
    """Vectors of shape `(positions, dimensions)` as a heat map, and their cosine similarity beside it."""
    table, similarity = figure.subplots(1, 2, width_ratios=[1.9, 1])
    limit = float(np.quantile(np.abs(vectors), 0.99))
    image = table.imshow(vectors, aspect="auto", cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
    table.set(xlabel="dimension", ylabel="position", title=title)
    figure.colorbar(image, ax=table, shrink=0.9, label="added to the stream")
    unit = vectors / np.maximum(1e-12, np.linalg.norm(vectors, axis=1, keepdims=True))
    image = similarity.imshow(unit @ unit.T, cmap="RdBu_r", vmin=-1, vmax=1, interpolation="nearest")
    similarity.set(xlabel="position", ylabel="position", title="cosine similarity")
    for axis in (table.yaxis, similarity.xaxis, similarity.yaxis):
        axis.get_major_locator().set_params(integer=True)
    figure.colorbar(image, ax=similarity, shrink=0.9, label="cosine")
