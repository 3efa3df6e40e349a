"""What `train --preset auto` does: climb, then train what won on all training rows."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .. import durable, run
from ..data.records import Records
from ..report import Report, Stream
from ..run import make_splits
from ..runtime.bundle import check_output
from ..workplace import is_worth_keeping, refuse_unfinished, workplace
from . import recipes
from .climb import climb
from .kept import Kept, job_of
from .rung import Limits
from .told import picture


def train(
    rows: Records,
    output: Path,
    limits: Limits,
    *,
    validation: Records | None = None,
    test: Records | None = None,
    unlabelled: Records | None = None,
    seed: int = 0,
    force: bool = False,
    resume: bool = False,
    checkpoint_every: float | None = None,
    device: str = "auto",
    threads: int | None = None,
    stream: Stream | None = None,
) -> Report:
    """Climbs, then trains what won on all training rows into the run folder `output`, which scores the test rows once.

    A student's teacher stays beside it, in `OUTPUT-teacher`. `ladder.json` and `ladder.png` tell how it was chosen.
    Until then what was found out stands in `OUTPUT-climb-partial`, from where `resume` goes on.

    *Raises*: UsageError for a budget that not even the linear model keeps; ModelError for a climb of other rows or
    another seed; else as `run.train`.
    """
    work, teacher = (output.with_name(f"{output.name}-{what}") for what in ("climb-partial", "teacher"))
    goes_on = resume and work.exists()
    options = {"validation": validation, "test": test, "force": force, "resume": resume, "device": device,
               "checkpoint_every": checkpoint_every, "threads": threads, "stream": stream}  # fmt: skip
    if resume and not force and not goes_on and (output / "manifest.json").exists():
        return run.already_finished(output, output.with_name(f"{output.name}-partial"))
    for place in (output,) if goes_on else (output, teacher):  # better now than behind the climb
        check_output(place, force)
        if not (force or resume):
            refuse_unfinished(place.with_name(f"{place.name}-partial"))
    splits = make_splits(rows, validation, test, seed)
    texts = run.unseen(unlabelled, splits)
    with workplace(work, resume, force), _told(work, stream):
        kept = Kept(work, job_of(splits, texts, seed), checkpoint_every)
        climbed, chosen = climb(splits, limits, kept, texts, seed=seed, device=device, threads=threads, stream=stream)
        if stream is not None:
            stream.write(f"{climbed.data['verdict']}: {chosen} is trained on all training rows\n")
        if chosen == "student":
            run.train(rows, recipes.recipe("tuned", seed), teacher, **options)
            options |= {"teacher": teacher, "unlabelled": unlabelled}
        report = run.train(rows, recipes.recipe(chosen, seed), output, **options)
        assert report is not None  # one process climbs
        durable.write(output / "ladder.json", (climbed.to_json(indent=1) + "\n").encode())
        durable.write(output / "ladder.png", picture(climbed.data))
    return Report(report.title, {**report.data, "ladder": climbed.to_dict()}, [*climbed.body, *report.body])


@contextmanager
def _told(work: Path, stream: Stream | None) -> Iterator[None]:
    """Whoever stops a climb, and whatever ends it, hears what is kept of it."""
    try:
        yield
    except BaseException:
        if stream is not None and is_worth_keeping(work):
            stream.write(f"what was found out is kept in {work}; the same command with --resume goes on\n")
        raise
