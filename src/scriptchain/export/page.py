"""Pages of one file with all that they need inside, no network, light and dark: `report.html`, and explanations."""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from ..report import Report, percent
from ..runtime.explain import Explanation
from ..style import environment

CAPTIONS = {
    "curves.png": "Training curves: training beside validation, and the epoch whose weights were kept.",
    "confusion.png": "Confusion matrix of the test split: a row a true class.",
    "positions.png": "What the positions have learned: the table, and which positions look alike.",
}


def render(report: Report, folder: Path, pictures: Sequence[str], captions: Mapping[str, str] = CAPTIONS) -> str:
    """The page; every text that came from data is escaped."""
    images = [
        {
            "source": "data:image/png;base64," + base64.b64encode((folder / name).read_bytes()).decode(),
            "text": captions[name],
        }
        for name in pictures
    ]
    return (
        environment("scriptchain.export")
        .get_template("report.html")
        .render(title=report.title, body=Markup(report.to_html()), images=images)
    )


def explanations(title: str, found: Sequence[Explanation]) -> str:
    """Each text with its words in color: for the label, or against it."""
    return (
        environment("scriptchain.export")
        .get_template("explain.html")
        .render(title=title, explanations=[_explanation(one) for one in found])
    )


def _explanation(one: Explanation) -> dict[str, Any]:
    most = max((abs(word.weight) for word in one.words if word.weight is not None), default=0.0) or 1.0
    parts, at = [], 0
    for word in one.words:
        parts.append({"text": one.text[at : word.start], "kind": ""})
        at = word.end
        much = 0.0 if word.weight is None else abs(word.weight) / most
        kind = "" if word.weight is None else "for" if word.weight > 0 else "against"
        parts.append({"text": word.word, "kind": kind, "much": f"{0.7 * much:.2f}",
                      "weight": "" if word.weight is None else f"{word.weight:+.2f}"})  # fmt: skip
    parts.append({"text": one.text[at:], "kind": ""})
    return {"label": one.label, "score": percent(one.score), "parts": parts, "check": one.check}
