"""`scriptchain check FILE`: what is wrong with the data, before a model is trained on it."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import DataError, MissingExtraError
from ..report import Report
from .options import DataFile, Encoding, Json, LabelColumn, OnBadRow, TextColumn, new_app, show

if TYPE_CHECKING:
    from ..data.records import Records

app = new_app()


@app.command()
def check(
    file: DataFile,
    against: Annotated[
        str | None, typer.Option(metavar="FILE", help="Another file: rows of FILE that stand in it are leaks.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="DIR", help="Count lengths in this model's tokens instead of words.")
    ] = None,
    learning_curve: Annotated[
        bool, typer.Option("--learning-curve", help="Fit the linear baseline on parts of FILE: would more labels help?")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 3 if anything was found.")] = False,
    text_column: TextColumn = None,
    label_column: LabelColumn = None,
    encoding: Encoding = "utf-8",
    on_bad_row: OnBadRow = "error",
    json: Json = False,
) -> None:
    """Rows, classes, lengths; duplicates, conflicts, leaks; labels that look alike or stand in their texts."""
    from ..data.check import check as check_records
    from ..data.records import read

    options = {"text_column": text_column, "label_column": label_column, "encoding": encoding, "on_bad_row": on_bad_row}
    records = read(file, **options)
    other = None if against is None else read(against, labels_required=False, encoding=encoding, on_bad_row=on_bad_row)
    lengths = None
    if model is not None:
        from pathlib import Path

        from ..runtime.bundle import Bundle

        lengths = Bundle(Path(model)).tokenizer.lengths
    report = check_records(records, other, lengths, sys.stderr)
    if learning_curve:
        curve = _curve(records)
        both = {**report.data, "learning_curve": curve.to_dict()}
        report = Report(report.title, both, [*report.body, *curve.body])
    show(report, json)
    if strict and not report["clean"]:
        raise DataError(f"{file} must be clean under --strict, got findings", hint="see the report above")


def _curve(records: "Records") -> Report:
    from ..training.learning_curve import learning_curve

    try:
        return learning_curve(records, progress=lambda line: typer.echo(line, err=True))
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"--learning-curve ({error.name})", "train") from None
