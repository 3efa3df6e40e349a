"""A depth report's dictionary as the sentences and tables that a terminal shows."""

from collections.abc import Mapping
from typing import Any

from ..report import Table, duration
from .ribbon import terminal
from .verdicts import HOLDS, UNDECIDED


def summary(data: Mapping[str, Any]) -> list[Table | str]:
    """What holds, the ribbon, every verdict (beside the initial weights' where they are there), and what is open."""
    return [
        f"{len(data['stack'])} layers, {data['texts']:,} texts, {data['weights']} weights, "
        f"{duration(data['cpu_seconds'])} of CPU",
        _said(data, HOLDS) or "nothing holds", terminal(data), _table(data),
        _said(data, UNDECIDED) or "nothing is undecided",
    ]  # fmt: skip


def short(value: float) -> str:
    """Three digits, or a dash where nothing was measured."""
    return "-" if value != value else f"{value:.3g}"


def _said(data: Mapping[str, Any], state: str) -> str:
    found = {name: one for name, one in data["verdicts"].items() if one["state"] == state}
    return "\n".join(f"{state} {name}: {one['says']}" for name, one in found.items())


def _table(data: Mapping[str, Any]) -> Table:
    before = data.get("initial", {}).get("verdicts")
    rows = []
    for name, one in data["verdicts"].items():
        states = [one["state"]] if before is None else [before[name]["state"], one["state"]]
        interval = "-" if one["low"] != one["low"] else f"[{short(one['low'])}, {short(one['high'])}]"
        rows.append([name, *states, short(one["value"]), interval, f"{one['side']} {one['threshold']:g}"])
    states = ["state"] if before is None else ["initial", "trained"]
    return Table("verdicts", ["verdict", *states, "value", "interval", "holds"], rows)
