"""`scriptchain export MODEL --data FILE`: the command that makes a run folder's model ready to ship."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from ..report import Report, Table
from .options import Encoding, Force, Json, LabelColumn, OnBadRow, TextColumn, Threads, new_app, show

app = new_app()


@app.command()
def export(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A run folder.")],
    data: Annotated[
        str,
        typer.Option(metavar="FILE", help="Rows to prove it on, best those of training; labels or none."),
    ],
    format: Annotated[str, typer.Option(help="int8, onnx (floats), or both with a comma.")] = "int8",
    output: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The new folder; by default MODEL-int8 or MODEL-onnx.")
    ] = None,
    force: Force = False,
    threads: Threads = None,
    text_column: TextColumn = None,
    label_column: LabelColumn = None,
    encoding: Encoding = "utf-8",
    on_bad_row: OnBadRow = "error",
    json: Json = False,
) -> None:
    """Write what answers and nothing else, when it is shown on rows that it answers as before."""
    from ..data.records import read
    from ..errors import MissingExtraError, UsageError
    from ..runtime.bundle import check_output

    try:
        from ..export.artifact import check_request
        from ..export.artifact import export as write
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"export ({error.name})", "train") from None

    formats = list(dict.fromkeys(format.split(",")))
    if output is not None and len(formats) > 1:
        raise UsageError(f"--output must come with one --format, got {format[:40]!r}")
    places = [output or model.with_name(f"{model.name}-{one}") for one in formats]
    for place, one in zip(places, formats, strict=True):  # all of them before the first is written
        check_request(model, place, one)
        check_output(place, force)
    rows = read(data, labels_required=False, text_column=text_column, label_column=label_column, encoding=encoding,
                on_bad_row=on_bad_row)  # fmt: skip
    made = [write(model, rows, place, format=one, threads=threads) for place, one in zip(places, formats, strict=True)]
    show(Report(made[0].title, {"exports": [report.to_dict() for report in made]}, _bodies(made)), json)


def _bodies(made: Sequence[Report]) -> list[Table | str]:
    first, *others = made
    return [*first.body, *(part for report in others for part in (report.title, *report.body))]
