"""Options that several commands share, spelled once."""

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import typer
from typer.core import TyperGroup

from .. import durable
from ..errors import ResourceError, UsageError
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
ValidationFile = Annotated[
    str | None, typer.Option("--validation", metavar="FILE", help="Rows to choose by; else a tenth of FILE.")
]
TestFile = Annotated[
    str | None, typer.Option("--test", metavar="FILE", help="Rows to score once; else a tenth of FILE.")
]
UnlabelledFile = Annotated[
    str | None,
    typer.Option("--unlabelled", metavar="FILE", help="More texts, for the teacher or hidden tokens."),
]
OutputFolder = Annotated[
    Path | None, typer.Option("--output", metavar="DIR", help="The run folder; by default runs/<name of FILE>.")
]
HubName = Annotated[
    str, typer.Argument(metavar="hf:OWNER/NAME", help="A name on Hugging Face's hub; where it is read, also @REVISION.")
]
Force = Annotated[bool, typer.Option("--force", help="Replace a run folder that is there.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the unfinished run of this --output, bit for bit.")]
Finish = Annotated[
    bool, typer.Option("--finish", help="With --resume: train no further, write what was learned so far.")
]
CheckpointEvery = Annotated[
    float, typer.Option(min=0, metavar="SECONDS", help="Time between checkpoints; more where saving is slow.")
]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", metavar="FILE.toml", help="Config keys in TOML; see `presets copy`.")
]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="One config key; may be repeated.")
]
Seed = Annotated[int | None, typer.Option(help="Every random choice follows from it.")]
Repeats = Annotated[int, typer.Option(min=1, help="Train that many seeds and report their mean and spread.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress and no notes on standard error.")]
Encoding = Annotated[str, typer.Option(help="Encoding of the file.")]
OnBadRow = Annotated[
    Literal["error", "skip"], typer.Option(help="error: stop at a row that cannot be used; skip: count it and go on.")
]
Threads = Annotated[int | None, typer.Option(min=1, help="Threads to compute with; by default one a core.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")]


SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}
MILLISECONDS = {"ms": 1.0, "s": 1000.0}
BYTES = {"KB": 1e3, "MB": 1e6, "GB": 1e9}


def measured(text: str | None, units: Mapping[str, float], option: str, example: str) -> float | None:
    """`10m` as a number of the unit that counts 1. Raises UsageError for what is no number above 0 with a unit."""
    if text is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)", text.strip())
    unit = None if found is None else next((unit for unit in units if unit.lower() == found[2].lower()), None)
    if found is None or unit is None or float(found[1]) == 0:
        raise UsageError(
            f"{option} must be a number above 0 with one of {', '.join(units)}, got {text[:40]!r}",
            hint=f"{option} {example}",
        )
    return float(found[1]) * units[unit]


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
