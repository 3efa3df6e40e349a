"""The one shape that every job ends in: a document for programs and tables for people."""

import html
import json
import math
import time
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import TextIOBase
from typing import Any, TextIO

# Where lines for people go. `TextIO` is what type checkers call sys.stderr, `TextIOBase` what it and StringIO are.
Stream = TextIO | TextIOBase
SILENT = 2.0  # seconds


@dataclass(frozen=True)
class Table:
    """Named columns and rows of strings or numbers; `note` is one line under the table."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    note: str = ""


@dataclass(frozen=True)
class Report:
    """A title, the document that `--json` prints, and the same facts as tables and sentences.

    `data` holds only what JSON can say; a number that is not finite becomes null.
    """

    title: str
    data: Mapping[str, Any]
    body: Sequence[Table | str] = field(default_factory=tuple)

    def __getitem__(self, key: str) -> Any:
        return self.data[key]

    def to_dict(self) -> dict[str, Any]:
        return dict(self.data)

    def to_json(self, indent: int | None = 2) -> str:
        return json.dumps(finite(self.data), indent=indent, ensure_ascii=False, allow_nan=False)

    def to_markdown(self) -> str:
        return "\n\n".join([f"# {self.title}", *map(_markdown, self.body)]) + "\n"

    def to_html(self) -> str:
        """The body as HTML fragments, every cell escaped; the page around it is the exporter's."""
        return "\n".join(map(_html, self.body))

    def print(self, file: Stream) -> None:
        """The body as plain aligned text; readable without color and at any width."""
        file.write(self.title + "\n")
        for part in self.body:
            file.write("\n")
            for line in _terminal(part):
                file.write(line + "\n")


def percent(value: float | None) -> str:
    """A share as per cent with one decimal."""
    return "-" if value is None or not math.isfinite(value) else f"{100 * value:.1f} %"


def with_interval(metric: Mapping[str, Any]) -> str:
    """`{value, low, high}` of shares as `71.0 % [62.1, 79.0]`."""
    return f"{percent(metric['value'])} [{100 * metric['low']:.1f}, {100 * metric['high']:.1f}]"


def megabytes(count: int) -> str:
    """Bytes as `1.9 MB`."""
    return f"{count / 1e6:.1f} MB"


def duration(seconds: float) -> str:
    """Seconds as `8 s`, `3 min` or `2.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds >= 1 else f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def in_turn(total: int, at_once: int, told: str, stream: Stream | None) -> Iterator[slice]:
    """`range(total)` in slices; a line with rate and time left every two seconds and at the end of what took longer."""
    begun = said = time.monotonic()
    for start in range(0, total, at_once):
        yield slice(start, start + at_once)
        done, now = min(start + at_once, total), time.monotonic()
        if stream is not None and (now - said > SILENT or (done == total and said > begun)):
            said, spent = now, max(1e-9, now - begun)
            left = duration(spent / done * (total - done))
            stream.write(f"{told} {done:,} of {total:,} texts, {done / spent:,.0f}/s, about {left} left\n")
            stream.flush()


def shown(text: str, width: int = 80) -> str:
    """A text on one line, cut at `width`, with control, bidirectional and invisible characters escaped."""
    visible = "".join(_escape(character) for character in text)
    return visible if len(visible) <= width else visible[: width - 1] + "…"


def finite(value: Any) -> Any:
    """The same JSON value with NaN and infinities as None: they are not JSON."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return value


def _escape(character: str) -> str:
    if unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp", "Cs"):
        return f"\\u{ord(character):04x}"
    return character


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.3g}"
    return str(value)


def _terminal(part: Table | str) -> Iterator[str]:
    if isinstance(part, str):
        yield part
        return
    rows = [[_cell(value) for value in row] for row in part.rows]
    widths = [max([len(column), *(len(row[index]) for row in rows)]) for index, column in enumerate(part.columns)]
    numeric = [
        bool(part.rows) and all(isinstance(row[index], (int, float)) for row in part.rows)
        for index in range(len(widths))
    ]

    def line(cells: Sequence[str]) -> str:
        aligned = [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(cells, widths, numeric, strict=True)
        ]
        return ("  " + "  ".join(aligned)).rstrip()

    yield part.title
    yield line(part.columns)
    yield from map(line, rows)
    if part.note:
        yield "  " + part.note


def _markdown(part: Table | str) -> str:
    if isinstance(part, str):
        return part
    lines = [f"## {part.title}", "", "| " + " | ".join(part.columns) + " |", "|" + "---|" * len(part.columns)]
    lines += ["| " + " | ".join(_cell(value).replace("|", "\\|") for value in row) + " |" for row in part.rows]
    return "\n".join([*lines, *(["", part.note] if part.note else [])])


def _html(part: Table | str) -> str:
    if isinstance(part, str):
        return f"<p>{html.escape(part)}</p>"
    head = "".join(f"<th>{html.escape(column)}</th>" for column in part.columns)
    rows = "".join(
        "<tr>" + "".join(f"<td>{html.escape(_cell(value))}</td>" for value in row) + "</tr>" for row in part.rows
    )
    note = f"<p class=note>{html.escape(part.note)}</p>" if part.note else ""
    return (
        f"<section><h2>{html.escape(part.title)}</h2><div class=scroll><table><thead><tr>{head}</tr></thead>"
        f"<tbody>{rows}</tbody></table></div>{note}</section>"
    )
