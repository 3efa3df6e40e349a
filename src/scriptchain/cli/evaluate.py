"""`scriptchain evaluate MODEL FILE`, or `evaluate A B FILE` to compare two models on the same rows."""

from typing import Annotated, Literal

import typer

from ..errors import DataError, UsageError
from .options import Encoding, Json, LabelColumn, OnBadRow, TextColumn, Threads, new_app, show

app = new_app()


@app.command()
def evaluate(
    arguments: Annotated[
        list[str], typer.Argument(metavar="MODEL [MODEL] FILE", help="One run folder, or two to compare, and a file.")
    ],
    text_column: TextColumn = None,
    label_column: LabelColumn = None,
    encoding: Encoding = "utf-8",
    on_bad_row: OnBadRow = "error",
    unknown_labels: Annotated[
        Literal["error", "skip"], typer.Option(help="error: stop at a label of no class; skip: count the row, go on.")
    ] = "error",
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit 3 if a row's text stands in the training set.")
    ] = False,
    invariance: Annotated[
        bool, typer.Option("--invariance", help="Count labels that change under typos, case, invisible characters.")
    ] = False,
    threads: Threads = None,
    json: Json = False,
) -> None:
    """Accuracy, macro-F1, classes, calibration, baselines, leaks and word order, with 95 % intervals."""
    from ..data.records import read
    from ..runtime.evaluation import compare
    from ..runtime.evaluation import evaluate as evaluate_model
    from ..runtime.session import Session

    *models, file = arguments
    if len(models) not in (1, 2):
        raise UsageError(f"evaluate must have one or two models and a file, got {len(arguments)} arguments",
                         hint="scriptchain evaluate MODEL FILE")  # fmt: skip
    if invariance and len(models) == 2:
        raise UsageError("--invariance must be asked of one model, got two", hint="scriptchain evaluate MODEL FILE")
    sessions = [(model, Session(model, threads=threads)) for model in models]
    if strict and not all(session.bundle.has("fingerprints.bin") for _, session in sessions):
        raise UsageError("--strict must be asked of run folders, which keep what they learned from, got an export")
    records = read(file, text_column=text_column, label_column=label_column, encoding=encoding, on_bad_row=on_bad_row)
    if len(sessions) == 2:
        report = compare(sessions, records, unknown_labels=unknown_labels)
        leaked = max(model["leaked_rows"] or 0 for model in report["models"])
    else:
        report = evaluate_model(
            sessions[0][1], records, name=models[0], unknown_labels=unknown_labels, invariance=invariance
        )
        leaked = report["leaks"]["rows"]
    show(report, json)
    if strict and leaked:
        raise DataError(f"{leaked:,} of {report['rows']:,} rows of {records.source} stand in the training set",
                        hint="score on rows that were not trained on")  # fmt: skip
