"""`scriptchain train FILE`: the command behind which torch lives."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import (
    BYTES,
    MILLISECONDS,
    SECONDS,
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
    measured,
    new_app,
    show,
)

if TYPE_CHECKING:
    from ..data.records import Records

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
        str | None, typer.Option(help="The recipe; auto tries all. By default small, and seed for the bundled set.")
    ] = None,
    config: ConfigFile = None,
    settings: Settings = None,
    budget: Annotated[
        str | None, typer.Option(metavar="TIME", help="With --preset auto: what trying may take: 90s, 10m, 2h.")
    ] = None,
    max_size: Annotated[
        str | None, typer.Option(metavar="SIZE", help="With --preset auto: of the model that ships: 500KB, 5MB.")
    ] = None,
    max_latency: Annotated[
        str | None, typer.Option(metavar="TIME", help="With --preset auto: of one text, the median: 0.5ms, 20ms.")
    ] = None,
    margin: Annotated[
        float | None,
        typer.Option(min=0, max=100, help="With --preset auto: points of macro-F1 that a smaller one may lack; 1."),
    ] = None,
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
    from ..launched import processes

    auto = preset == "auto"
    if auto and processes() > 1:
        raise UsageError(f"--preset auto must be one process, got {processes()}", hint="without torchrun")
    only_auto = {"--budget": budget, "--max-size": max_size, "--max-latency": max_latency, "--margin": margin}
    never_auto = {"--config": config, "--set": settings or None, "--depth": depth, "--teacher": teacher,
                  "--finish": finish or None,
                  "--repeats": repeats if repeats > 1 else None}  # fmt: skip
    for option, value in (never_auto if auto else only_auto).items():
        if value is not None:
            rule = "must not come with" if auto else "must come with"
            raise UsageError(f"{option} {rule} --preset auto, got {'both' if auto else 'it alone'}")
    bundled = is_bundled(file)
    has_preset = preset is not None or config is not None
    resolved = configs.resolve(
        "small" if auto else preset if has_preset else "seed" if bundled else "small",
        file=config,
        # What a teacher says is soft already.
        settings=[*(["label_smoothing=0"] if teacher is not None else []), *(settings or [])],
        overrides={} if seed is None else {"seed": seed},
        depth=depth,
    )
    stream = None if quiet else sys.stderr
    if stream is not None and depth is not None:
        stream.write(
            f"depth {depth}: residual_scale {resolved.residual_scale:.3g}, learning_rate {resolved.learning_rate:.3g}, "
            f"warmup {resolved.warmup:.3g}\n"
        )
    options: dict[str, Any] = {"text_column": text_column, "encoding": encoding, "on_bad_row": on_bad_row}
    labelled: dict[str, Any] = options | {"label_column": label_column}
    held_out, scored = (None if name is None else read(name, **labelled) for name in (validation, test))
    more = None if unlabelled is None else read(unlabelled, labels_required=False, plain=True, **options)
    for records in (held_out, scored, more):  # those of the rows are said by the check
        if stream is not None and records is not None:
            stream.writelines(f"{note}\n" for note in records.notes)
    place = output or Path("runs") / _stem(file)

    def rows() -> "Records":  # kept by nobody here, so that they can go when they are split
        found = read(file, **labelled)
        return found.distinct() if dedup else found

    if auto:
        from ..ladder import Limits
        from ..ladder import train as climb

        limits = Limits(measured(budget, SECONDS, "--budget", "10m"), measured(max_size, BYTES, "--max-size", "5MB"),
                        measured(max_latency, MILLISECONDS, "--max-latency", "1ms"),
                        (1.0 if margin is None else margin) / 100)  # fmt: skip
        report = climb(
            rows(), place, limits, validation=held_out, test=scored, unlabelled=more, seed=resolved.seed, force=force,
            resume=resume, checkpoint_every=checkpoint_every, device=device, threads=threads, stream=stream,
        )  # fmt: skip
        show(report, json)
        return
    from ..run import train as train_run

    report = train_run(
        rows(), resolved, place, validation=held_out, test=scored, teacher=teacher,
        unlabelled=more, repeats=repeats, force=force, resume=resume, finish=finish, checkpoint_every=checkpoint_every,
        device=device, threads=threads, stream=stream,
    )  # fmt: skip
    if report is not None:
        show(report, json)


def _stem(file: str) -> str:
    return "stdin" if file == "-" else Path(file).name.split(".")[0] or "run"
