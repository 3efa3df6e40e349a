"""`scriptchain check FILE`: what is wrong with the data, before a model is trained on it."""

from typing import Annotated

import typer

from ..errors import DataError
from .options import DataFile, Encoding, Json, LabelColumn, OnBadRow, TextColumn, new_app, show

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
    report = check_records(records, other, lengths)
    show(report, json)
    if strict and not report["clean"]:
        raise DataError(f"{file} must be clean under --strict, got findings", hint="see the report above")
