"""The page of a diagnosis: one file, no network, light and dark; every number of it stands in the JSON at its end."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from ..report import finite
from ..style import environment
from .pictures import draw
from .ribbon import ribbon
from .verdicts import HOLDS, UNDECIDED

SIGNS = {HOLDS: "✕", "DOES NOT HOLD": "✓", UNDECIDED: "?"}
CLASSES = {HOLDS: "ill", "DOES NOT HOLD": "well", UNDECIDED: "unknown"}
COLUMNS = (
    ("gradient", "stream's gradient"), ("query_key_gradient", "query, key gradient"),
    ("centered_residual", "differs inside a text"), ("cosine_within", "cosine within"),
    ("cosine_across", "cosine across"), ("entropy", "entropy"), ("logit_spread", "logit spread"), ("sink", "sink"),
    ("peak", "peak"), ("probe", "place read"), ("position_share", "position"), ("content_share", "words"),
    ("update", "update"), ("turn", "turn"), ("skip", "skipped"),
)  # fmt: skip


def render(report: Mapping[str, Any]) -> str:
    """HTML from the report's dictionary; the same dictionary gives the same bytes."""
    data = finite(report)
    return environment("scriptchain.lab").get_template("depth.html").render(
        title=f"what depth does to {data.get('target', 'a stack')}",
        data=data, verdicts=_verdicts(data), holding=_holding(data), ribbon=ribbon(data), pictures=draw(data),
        columns=[column for column in COLUMNS if any(row.get(column[0]) is not None for row in data["layers"])],
        number=number, depths=_depths(data.get("depths") or []), signs=SIGNS, classes=CLASSES,
        document=Markup(json.dumps(data, ensure_ascii=False).replace("<", "\\u003c")),
    )  # fmt: skip


def number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


def _verdicts(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    initial = (data.get("initial") or {}).get("verdicts", {})
    return [{"name": name, **one, "before": initial.get(name, {}).get("state")} for name, one in
            data["verdicts"].items()]  # fmt: skip


def _holding(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(name, one["says"]) for name, one in data["verdicts"].items() if one["state"] == HOLDS]


def _depths(found: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[Mapping[str, Any]]]]:
    """A row a verdict, a column a depth; verdicts that are open everywhere are left out."""
    if not found:
        return []
    rows = [(name, [one["verdicts"][name] for one in found]) for name in found[0]["verdicts"]]
    return [(name, cells) for name, cells in rows if any(cell["state"] != UNDECIDED for cell in cells)]
