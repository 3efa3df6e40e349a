"""`scriptchain compare DATA`: which encoding, depth or width suits these rows, with intervals and a verdict each."""

import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from .. import durable
from ..data.formal import FORMAL
from ..data.records import read
from ..data.tasks import TASKS
from ..errors import MissingExtraError, ResourceError, UsageError
from .options import (
    SECONDS,
    Device,
    Encoding,
    Force,
    Json,
    LabelColumn,
    OnBadRow,
    Quiet,
    Settings,
    TextColumn,
    measured,
    new_app,
    save,
    show,
)

app = new_app()
GENERATED, NAMES = "task:", [*TASKS, *FORMAL]
WRITTEN = ("runs.jsonl", "report.json", "report.html", "differences.png", "lengths.png")


@app.command()
def compare(
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help=f"Labelled rows, `emotions`, or a generated task: {', '.join(GENERATED + name for name in NAMES)}.",
        ),
    ],
    positions: Annotated[
        str | None,
        typer.Option(metavar="NAME,NAME", help="Of `scriptchain encodings`; by default one of each family."),
    ] = None,
    vary: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE,VALUE", help="Another key, or depth, combined with the rest; repeatable."),
    ] = None,
    baseline: Annotated[
        str | None, typer.Option(metavar="NAME", help="The candidate that others stand beside; by default the first.")
    ] = None,
    by: Annotated[
        Literal["labels", "hidden"],
        typer.Option(help="Score labels by macro-F1, or hidden words by their loss, which sees smaller differences."),
    ] = "labels",
    margin: Annotated[
        float, typer.Option(min=0, max=100, help="Points, or hundredths of a nat, that are none to choose by.")
    ] = 1.0,
    repeats: Annotated[
        int, typer.Option(min=1, help="Shuffles of the rows, or draws of the task; without --budget.")
    ] = 2,
    folds: Annotated[int, typer.Option(min=2, help="Parts that each shuffle is cut into.")] = 5,
    budget: Annotated[
        str | None, typer.Option(metavar="TIME", help="What it may take: 15m, 2h. The better half goes on, and on.")
    ] = None,
    rows: Annotated[
        int | None,
        typer.Option(min=1, help="Take so many of the rows, drawn by the seed; of a task, learn from so many."),
    ] = None,
    learn_up_to: Annotated[
        int | None,
        typer.Option(min=1, metavar="WORDS", help="Learn from rows of so many words; longer ones are scored."),
    ] = None,
    preset: Annotated[str, typer.Option(help="What all candidates have in common; see `presets`.")] = "small",
    settings: Settings = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Trainings at once, a process and a core each; by default one a core.")
    ] = None,
    device: Device = "cpu",
    output: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Runs, page and pictures; by default runs/compare-NAME.")
    ] = None,
    force: Force = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the runs of this --output; none is done twice.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Every random choice follows from it.")] = 0,
    text_column: TextColumn = None,
    label_column: LabelColumn = None,
    encoding: Encoding = "utf-8",
    on_bad_row: OnBadRow = "error",
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Train candidates side by side on the same rows, and say which are better, worse, equivalent or not decided."""
    try:
        from .. import bench
        from ..bench import single
        from ..bench.pictures import CAPTIONS, draw
        from ..export.page import render
        from ..training.loop import accelerator_for
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"compare ({error.name})", "train") from None

    def progress(line: str) -> None:
        if not quiet:
            sys.stderr.write(f"{line}\n")
            sys.stderr.flush()

    named = [] if positions is None else [name.strip() for name in positions.split(",")]
    arms = bench.arms_of(preset, named or ([] if vary else bench.FAMILIES), vary or [], settings or [])
    base = bench.baseline_of(arms, baseline or arms[0].name)
    if data.startswith(GENERATED):
        if data.removeprefix(GENERATED) not in NAMES:
            raise UsageError(f"DATA must be a file or one of {', '.join(GENERATED + name for name in NAMES)}, got "
                             f"{data[:80]!r}")  # fmt: skip
        if learn_up_to is not None:
            raise UsageError("--learn-up-to must come with rows of yours, got a generated task")
        chosen = bench.Rows(task=data.removeprefix(GENERATED), seed=seed, by=by, number=rows)
    else:
        records = read(
            data, text_column=text_column, label_column=label_column, encoding=encoding, on_bad_row=on_bad_row
        )
        some = records if rows is None else records.sample(rows, seed)
        chosen = bench.Rows(some, folds=folds, seed=seed, by=by, up_to=learn_up_to)
    single.one_thread()
    accelerator_for(device, arms[0].config.precision)
    place = output or Path("runs") / f"compare-{Path(data.replace(':', '-')).stem or 'rows'}"
    _check(place, force, resume)
    plan = bench.Plan(
        base.name, repeats, measured(budget, SECONDS, "--budget", "15m"), margin / 100,
        workers or os.cpu_count() or 1, seed, device,
    )  # fmt: skip
    with durable.locked(place / ".lock"):
        if force:
            for name in WRITTEN:
                (place / name).unlink(missing_ok=True)
        pool = bench.Pool(place, chosen.digest)
        report = bench.compare(chosen, arms, pool, plan, progress)
        save(place / "report.json", report.to_json().encode())
        pictures = draw(report.data, place)
        save(place / "report.html", render(report, place, pictures, CAPTIONS).encode("utf-8", "backslashreplace"))
    show(report, json)
    if not json:
        progress(f"runs, page and pictures: {place}")


def _check(place: Path, force: bool, resume: bool) -> None:
    """The folder is there, and holds what is to be gone on from, what is to be replaced, or nothing."""
    try:
        place.mkdir(parents=True, exist_ok=True)
        found = {one.name for one in place.iterdir()} - {".lock"}
    except OSError as error:
        raise ResourceError(f"--output {place} must be a folder that can be written ({error.strerror})") from None
    if "runs.jsonl" in found and not (force or resume):
        raise UsageError(f"{place} holds a comparison already", hint="--resume, or --force, or another --output")
    if found and "runs.jsonl" not in found:
        raise UsageError(f"--output must be empty or hold a comparison, got {place}", hint="another --output")
