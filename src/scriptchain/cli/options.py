"""Options that several commands share, spelled once."""

import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer
from typer.core import TyperGroup

from .. import durable
from ..errors import ResourceError
from ..report import Report

DataFile = Annotated[
    str,
    typer.Argument(
        metavar="FILE", help="CSV, TSV or JSON Lines (also .gz), - for standard input, or a bundled set: emotions."
    ),
]
TextColumn = Annotated[str | None, typer.Option(help="Column of the texts; `text` or a usual name is found by itself.")]
LabelColumn = Annotated[
    str | None, typer.Option(help="Column of the labels; `label` or a usual name is found by itself.")
]
Encoding = Annotated[str, typer.Option(help="Encoding of the file.")]
OnBadRow = Annotated[
    Literal["error", "skip"], typer.Option(help="error: stop at a row that cannot be used; skip: count it and go on.")
]
Threads = Annotated[int | None, typer.Option(min=1, help="Threads to compute with; by default one a core.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")]


def show(report: Report, as_json: bool) -> None:
    """The end of every command: a document for programs or tables for people, on standard output."""
    if as_json:
        typer.echo(report.to_json())
    else:
        report.print(sys.stdout)


def save(file: Path, content: bytes) -> None:
    """Writes a file that was asked for, whole or not at all. Raises ResourceError."""
    place = Path(os.path.realpath(file))  # a link stays a link
    try:
        if place.exists() and not place.is_file():  # a device or a pipe, that a rename would do away with
            place.write_bytes(content)
        else:
            durable.write(place, content)
    except OSError as error:
        raise ResourceError(f"{file} cannot be written ({error.strerror})") from None


class Group(TyperGroup):
    context_class = typer.Context  # what the callbacks say that they take


def new_app() -> typer.Typer:
    return typer.Typer(cls=Group, rich_markup_mode=None, add_completion=False)
