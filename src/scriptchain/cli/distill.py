"""`scriptchain distill TEACHER --data FILE`: a small model that answers as a large one does."""

from pathlib import Path
from typing import Annotated

import typer

from .options import (
    CheckpointEvery,
    Device,
    Encoding,
    Finish,
    Force,
    Json,
    LabelColumn,
    OnBadRow,
    OutputFolder,
    Quiet,
    Repeats,
    Resume,
    Seed,
    Settings,
    TestFile,
    TextColumn,
    Threads,
    UnlabelledFile,
    ValidationFile,
    new_app,
)
from .train import train

app = new_app()


@app.command()
def distill(
    teacher: Annotated[Path, typer.Argument(metavar="TEACHER", help="The run folder that is to be learned from.")],
    data: Annotated[str, typer.Option(metavar="FILE", help="Labelled rows, those of the teacher.")],
    student: Annotated[str, typer.Option(help="The recipe of the small model; see `presets`.")] = "small",
    unlabelled: UnlabelledFile = None,
    validation: ValidationFile = None,
    test: TestFile = None,
    output: OutputFolder = None,
    force: Force = False,
    resume: Resume = False,
    finish: Finish = False,
    checkpoint_every: CheckpointEvery = 30.0,
    settings: Settings = None,
    seed: Seed = None,
    repeats: Repeats = 1,
    device: Device = "auto",
    threads: Threads = None,
    text_column: TextColumn = None,
    label_column: LabelColumn = None,
    encoding: Encoding = "utf-8",
    on_bad_row: OnBadRow = "error",
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Train a small model on a large one's answers, with labelled rows and, where given, unlabelled texts."""
    train(
        data, teacher=teacher, preset=student, unlabelled=unlabelled, validation=validation, test=test, output=output,
        force=force, resume=resume, finish=finish, checkpoint_every=checkpoint_every, settings=settings, seed=seed,
        repeats=repeats, device=device, threads=threads, text_column=text_column, label_column=label_column,
        encoding=encoding, on_bad_row=on_bad_row, quiet=quiet, json=json,
    )  # fmt: skip
