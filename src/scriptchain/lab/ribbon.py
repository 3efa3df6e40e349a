"""The depth ribbon: a column a layer, a row a measure, each cell ill, near, well or unknown by its verdict."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .thresholds import THRESHOLDS

ILL, NEAR, WELL, UNKNOWN = "ill", "near", "well", "unknown"
GLYPHS = {ILL: "█", NEAR: "▒", WELL: "·", UNKNOWN: " "}
NEARNESS = 3.0  # a factor from the threshold
WIDTH = 60  # layers in a line of a terminal


@dataclass(frozen=True)
class Cell:
    layer: int
    value: float | None
    state: str


@dataclass(frozen=True)
class Row:
    """`worst` is the cell that is farthest on the ill side; None where nothing was measured."""

    title: str
    verdict: str
    cells: list[Cell]
    worst: Cell | None


def ribbon(report: Mapping[str, Any]) -> list[Row]:
    """From the report's dictionary; a measure that no layer has is left out."""
    layers = report["layers"]
    columns: list[tuple[str, str, Sequence[float | None]]] = [
        ("stream's gradient", "stream_gradient_vanishing", _column(layers, "gradient")),
        ("gradient of queries and keys", "query_key_starvation", _column(layers, "query_key_gradient")),
        ("what differs inside a text", "rank_collapse", _column(layers, "centered_residual")),
        ("entropy of attention", "entropy_collapse", _column(layers, "concentration")),
        ("spread of logits", "attention_uniform", _column(layers, "logit_spread")),
        ("attention on one end", "attention_sink", _column(layers, "sink")),
        ("highest channel", "massive_activations", _column(layers, "peak")),
        *_positions(layers),
    ]
    if report["weights"] == "trained":  # at the start a layer may do nothing by design
        columns.append(("turn of the stream", "dead_layers", _relative(_column(layers, "turn"))))
    rows = [_row(title, verdict, values) for title, verdict, values in columns]
    return [row for row in rows if row.worst is not None]


def terminal(report: Mapping[str, Any]) -> str:
    """As lines of text; glyphs tell the states apart without any color."""
    rows, depth = ribbon(report), len(report["layers"])
    wide = max(len(row.title) for row in rows)
    lines = []
    for start in range(0, depth, WIDTH):
        columns = range(start, min(depth, start + WIDTH))
        marks = "".join(f"{layer:<5}" for layer in columns if layer % 5 == 0)[: len(columns) + 4]
        lines.append(f"{'layer':{wide}}  {marks}".rstrip())
        for row in rows:
            cells = "".join(GLYPHS[row.cells[layer].state] for layer in columns)
            told = f"  {row.worst.value:.2g} at layer {row.worst.layer}" if row.worst and start + WIDTH >= depth else ""
            lines.append(f"{row.title:{wide}}  {cells}{told}")
    legend = ", ".join(f"{GLYPHS[state]} {state}" for state in (ILL, NEAR, WELL))
    return "\n".join([*lines, f"{legend}; layer 0 is what enters; the number is the worst"])


def _positions(layers: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, Sequence[float | None]]]:
    """Where no position enters the stream, none can be lost in it."""
    read, share = _column(layers, "probe"), _column(layers, "position_share")
    entered = read[0] is not None and read[0] > THRESHOLDS["position_absent"].value
    if not entered:
        return [("place that a probe reads", "position_absent", [read[0], *[None] * (len(read) - 1)])]
    first = share[0] or 0.0
    kept = [None if one is None or not first else one / first for one in share]
    return [("place that a probe reads", "position_lost", read), ("position that is kept", "position_diluted", kept)]


def _column(layers: Sequence[Mapping[str, Any]], key: str) -> list[float | None]:
    values = [row.get(key) for row in layers]
    return [None if value is None or value != value else float(value) for value in values]


def _relative(values: Sequence[float | None]) -> list[float | None]:
    known = [value for value in values if value is not None]
    mean = sum(known) / len(known) if known else 0.0
    return [None if value is None or not mean else value / mean for value in values]


def _row(title: str, verdict: str, values: Sequence[float | None]) -> Row:
    threshold = THRESHOLDS[verdict]
    cells = [Cell(layer, value, _state(verdict, value)) for layer, value in enumerate(values)]
    known = [cell for cell in cells if cell.value is not None]
    pick = min if threshold.side == "below" else max
    return Row(title, verdict, cells, pick(known, key=lambda cell: cell.value or 0.0) if known else None)


def _state(verdict: str, value: float | None) -> str:
    if value is None:
        return UNKNOWN
    line, side = THRESHOLDS[verdict].value, THRESHOLDS[verdict].side
    exploding = THRESHOLDS["stream_gradient_exploding"].value
    if verdict == "stream_gradient_vanishing" and value > exploding / NEARNESS:
        return ILL if value > exploding else NEAR
    if side == "below":
        return ILL if value < line else NEAR if value < NEARNESS * line else WELL
    return ILL if value > line else NEAR if value > line / NEARNESS else WELL
