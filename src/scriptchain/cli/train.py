"""`scriptchain train FILE`: the command behind which torch lives."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from .options import DataFile, Encoding, Json, LabelColumn, OnBadRow, TextColumn, Threads, new_app, show

app = new_app()


@app.command()
def train(
    file: DataFile,
    validation: Annotated[
        str | None, typer.Option(metavar="FILE", help="Rows to choose by; else a tenth of FILE.")
    ] = None,
    test: Annotated[str | None, typer.Option(metavar="FILE", help="Rows to score once; else a tenth of FILE.")] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The run folder; by default runs/<name of FILE>.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a run folder that is there.")] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the unfinished run of this --output, bit for bit.")
    ] = False,
    finish: Annotated[
        bool, typer.Option("--finish", help="With --resume: train no further, write what was learned so far.")
    ] = False,
    checkpoint_every: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="Time between checkpoints; more where saving is slow.")
    ] = 30.0,
    preset: Annotated[
        str | None, typer.Option(help="The recipe; by default small, and seed for the bundled set.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE.toml", help="Config keys in TOML; see `presets copy`.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="One config key; may be repeated.")
    ] = None,
    depth: Annotated[
        int | None, typer.Option(help="Number of layers, and what follows from it: scale, rate, warm-up.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Every random choice follows from it.")] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Train that many seeds and report their mean and spread.")] = 1,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    threads: Threads = None,
    text_column: TextColumn = None,
    label_column: LabelColumn = None,
    encoding: Encoding = "utf-8",
    on_bad_row: OnBadRow = "error",
    dedup: Annotated[
        bool, typer.Option("--dedup", help="Leave out rows whose text and label stand further up in FILE.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress and no notes on standard error.")] = False,
    json: Json = False,
) -> None:
    """Check, split, train, score the test split once, export, and write it all into one folder."""
    from .. import config as configs
    from ..data.records import is_bundled, read

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
    options = {"text_column": text_column, "label_column": label_column, "encoding": encoding, "on_bad_row": on_bad_row}
    rows, held_out, scored = (None if name is None else read(name, **options) for name in (file, validation, test))
    assert rows is not None
    if dedup:
        rows = rows.distinct()
    for records in (held_out, scored):  # those of the rows are said by the check
        if stream is not None and records is not None:
            stream.writelines(f"{note}\n" for note in records.notes)
    from ..run import train as train_run

    report = train_run(
        rows, resolved, output or Path("runs") / _stem(file), validation=held_out, test=scored, repeats=repeats,
        force=force, resume=resume, finish=finish, checkpoint_every=checkpoint_every, device=device, threads=threads,
        stream=stream,
    )  # fmt: skip
    show(report, json)


def _stem(file: str) -> str:
    return "stdin" if file == "-" else Path(file).name.split(".")[0] or "run"
