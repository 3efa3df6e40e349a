"""`scriptchain train FILE`: the command behind which torch lives."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from .options import (
    CheckpointEvery,
    ConfigFile,
    DataFile,
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
    show,
)  # fmt: skip

app = new_app()


@app.command()
def train(
    file: DataFile,
    validation: ValidationFile = None,
    test: TestFile = None,
    teacher: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Learn the answers of this run folder too; see `distill`.")
    ] = None,
    unlabelled: UnlabelledFile = None,
    output: OutputFolder = None,
    force: Force = False,
    resume: Resume = False,
    finish: Finish = False,
    checkpoint_every: CheckpointEvery = 30.0,
    preset: Annotated[
        str | None, typer.Option(help="The recipe; by default small, and seed for the bundled set.")
    ] = None,
    config: ConfigFile = None,
    settings: Settings = None,
    depth: Annotated[
        int | None, typer.Option(help="Number of layers, and what follows from it: scale, rate, warm-up.")
    ] = None,
    seed: Seed = None,
    repeats: Repeats = 1,
    device: Device = "auto",
    threads: Threads = None,
    text_column: TextColumn = None,
    label_column: LabelColumn = None,
    encoding: Encoding = "utf-8",
    on_bad_row: OnBadRow = "error",
    dedup: Annotated[
        bool, typer.Option("--dedup", help="Leave out rows whose text and label stand further up in FILE.")
    ] = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Check, split, train, score the test split once, export, and write it all into one folder."""
    from .. import config as configs
    from ..data.records import is_bundled, read
    from ..errors import UsageError

    bundled = is_bundled(file)
    has_preset = preset is not None or config is not None
    resolved = configs.resolve(
        preset if has_preset else "seed" if bundled else "small",
        file=config,
        settings=settings or [],
        overrides={} if seed is None else {"seed": seed},
        depth=depth,
    )
    stream = None if quiet else sys.stderr
    if stream is not None and depth is not None:
        stream.write(
            f"depth {depth}: residual_scale {resolved.residual_scale:.3g}, learning_rate {resolved.learning_rate:.3g}, "
            f"warmup {resolved.warmup:.3g}\n"
        )
    if unlabelled is not None and teacher is None:
        raise UsageError("--unlabelled must come with --teacher, got it alone", hint="--teacher DIR")
    options = {"text_column": text_column, "label_column": label_column, "encoding": encoding, "on_bad_row": on_bad_row}
    rows, held_out, scored = (None if name is None else read(name, **options) for name in (file, validation, test))
    assert rows is not None
    if dedup:
        rows = rows.distinct()
    del options["label_column"]
    more = None if unlabelled is None else read(unlabelled, labels_required=False, plain=True, **options)
    for records in (held_out, scored, more):  # those of the rows are said by the check
        if stream is not None and records is not None:
            stream.writelines(f"{note}\n" for note in records.notes)
    from ..run import train as train_run

    report = train_run(
        rows, resolved, output or Path("runs") / _stem(file), validation=held_out, test=scored, teacher=teacher,
        unlabelled=more, repeats=repeats, force=force, resume=resume, finish=finish, checkpoint_every=checkpoint_every,
        device=device, threads=threads, stream=stream,
    )  # fmt: skip
    show(report, json)


def _stem(file: str) -> str:
    return "stdin" if file == "-" else Path(file).name.split(".")[0] or "run"
