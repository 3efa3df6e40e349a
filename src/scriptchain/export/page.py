"""`report.html`: one file with its pictures inside, no network, light and dark."""

import base64
from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from ..report import Report
from ..style import environment

CAPTIONS = {
    "curves.png": "Training curves: training beside validation, and the epoch whose weights were kept.",
    "confusion.png": "Confusion matrix of the test split: a row a true class.",
    "positions.png": "What the positions have learned: the table, and which positions look alike.",
}


def render(report: Report, folder: Path, pictures: Sequence[str]) -> str:
    """The page; every text that came from data is escaped."""
    images = [
        {
            "source": "data:image/png;base64," + base64.b64encode((folder / name).read_bytes()).decode(),
            "text": CAPTIONS[name],
        }
        for name in pictures
    ]
    return (
        environment("scriptchain.export")
        .get_template("report.html")
        .render(title=report.title, body=Markup(report.to_html()), images=images)
    )
