"""One training job from rows to a run folder: check, split, train, score the test split once, write."""

import json
import shutil
import signal
import time
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import config as configs
from . import durable
from .classifier import Classifier
from .config import Config
from .data.check import check
from .data.records import Records
from .data.splits import split, without
from .errors import DataError, Interrupted, ModelError, UsageError
from .heap import give_back
from .launched import processes
from .report import Report, Stream, Table, percent, with_interval
from .runtime import bundle
from .runtime.bundle import Bundle, check_output
from .runtime.evaluation import body_of, evaluate
from .runtime.session import Session
from .scoring.intervals import mean_interval
from .workplace import has_steps, workplace

if TYPE_CHECKING:
    from .training.lesson import Lesson
    from .training.world import World


@dataclass(frozen=True)
class Splits:
    """Three sets of rows, no text on two sides; `notes` says what was left out to make it so."""

    train: Records
    validation: Records
    test: Records
    notes: list[str] = field(default_factory=list)

    @property
    def sizes(self) -> dict[str, int]:
        return {"train": len(self.train), "validation": len(self.validation), "test": len(self.test)}


def make_splits(rows: Records, validation: Records | None, test: Records | None, seed: int) -> Splits:
    """A tenth of `rows` stands in for each of `validation` and `test` that is not given: 80/10/10, or 90/10.

    A training row whose text stands in a given test or validation file is left out, and so is a validation row
    whose text stands in the test: the given test keeps every row, so that its figure compares with others'.

    *Raises*: DataError where no row is left.
    """
    notes: list[str] = []

    def keep(records: Records, name: str, others: Records, where: str) -> Records:
        kept = without(records.texts, others.texts)
        if not len(kept):
            raise DataError(
                f"the {name} rows must have texts that the {where} set has not, got none of {len(records):,}",
                hint=f"another file, or leave --{where} out",
            )
        if len(kept) < len(records):
            notes.append(f"{len(records) - len(kept):,} {name} rows are left out: their texts stand in the {where} set")
        return records.subset(kept)

    if test is not None:
        rows = keep(rows, "training", test, "test")
        validation = None if validation is None else keep(validation, "validation", test, "test")
    if validation is not None:
        rows = keep(rows, "training", validation, "validation")
    missing = [name for name, given in (("validation", validation), ("test", test)) if given is None]
    if missing:
        fractions = (1 - 0.1 * len(missing), *[0.1] * len(missing))
        train_rows, *held_out = split(rows.texts, rows.labels or [], fractions=fractions, seed=seed)
        cut = dict(zip(missing, map(rows.subset, held_out), strict=True))
        rows, validation, test = rows.subset(train_rows), cut.get("validation", validation), cut.get("test", test)
    assert validation is not None
    assert test is not None
    return Splits(rows, validation, test, notes)


def train(
    rows: Records,
    config: Config,
    output: Path,
    *,
    validation: Records | None = None,
    test: Records | None = None,
    teacher: Path | None = None,
    unlabelled: Records | None = None,
    repeats: int = 1,
    force: bool = False,
    resume: bool = False,
    finish: bool = False,
    checkpoint_every: float | None = None,
    device: str = "auto",
    threads: int | None = None,
    stream: Stream | None = None,
) -> Report | None:
    """Trains into the folder `output` and reports the figures of the test split; nothing half done takes that name.

    With a `teacher`, a run folder, its answers are learned, on `unlabelled` texts too; with `masked_epochs` the hidden
    tokens of all texts are learned first.
    With `repeats`, each of N seeds trains into `seed-K/` and the root is the run of median validation macro-F1.
    Until it is complete everything stands in `OUTPUT-partial`, with a checkpoint every so many seconds: `resume` goes
    on from there, bit for bit, and `finish` ends there, with what was learned so far.
    Of several processes, as `torchrun` starts them, the first writes and reports; the others return None.

    *Raises*: UsageError if `output` is taken or an unfinished run of that name is there; ResourceError if another
    process trains there, or memory or disk end; DataError, ConfigError and DivergedError as `Classifier.fit`;
    ModelError for an unfinished run of other data or config; Interrupted after SIGINT or SIGTERM, when all is saved.
    """
    if finish and not resume:
        raise UsageError("--finish must come with --resume, got it alone", hint="--resume --finish")
    work = output.with_name(f"{output.name}-partial")
    if resume and not force and (output / "manifest.json").exists() and not has_steps(work):
        return already_finished(output, work)
    world = _world()
    leads = world is None or world.leads
    stream = stream if leads else None
    if leads:
        check_output(output, force)
    start = time.perf_counter()
    checked = check(rows, test, stream=stream)
    splits = make_splits(rows, validation, test, config.seed)
    del rows
    give_back()
    if stream is not None:
        stream.writelines(f"check: {line}\n" for line in checked["warnings"])
        stream.writelines(f"splits: {line}\n" for line in splits.notes)
        stream.write(
            "{train:,} rows to train on, {validation:,} to choose by, {test:,} to score once\n".format(**splits.sizes)
        )
    with workplace(work, resume, force) if leads else nullcontext():
        if world is not None:
            world.wait()  # until the folder is there
        texts = unseen(unlabelled, splits)
        if stream is not None and unlabelled is not None and len(texts) < len(unlabelled):
            left_out = len(unlabelled) - len(texts)
            stream.write(f"{left_out:,} unlabelled texts are left out: they stand in validation or test\n")
        taught = None if teacher is None else _lesson(teacher, splits, texts, threads, stream)
        runs: list[dict[str, Any]] = []
        for seed in range(config.seed, config.seed + repeats):
            job = _Job(work, f"seed-{seed}", str(output / f"seed-{seed}" if repeats > 1 else output), splits, taught,
                       texts if teacher is None else [])  # fmt: skip
            if finish and not job.begun:
                break
            if repeats > 1 and stream is not None:
                stream.write(f"seed {seed}: run {len(runs) + 1} of {repeats}\n")
            seeded = configs.replace(config, seed=seed)
            if job.folder.exists():
                job.refuse_other(seeded)
            else:
                job.train(seeded, device, threads, stream, checkpoint_every, finish, writes=leads)
            if not leads:
                continue
            runs.append(job.scored())
        if not leads:
            return None
        if not runs:
            raise UsageError(f"--finish needs an unfinished run, got none in {work}", hint="leave --finish out")
        chosen = sorted(runs, key=lambda run: run["validation"]["macro_f1"])[(len(runs) - 1) // 2]
        data = chosen | {"model": str(output), "seconds": time.perf_counter() - start, "check": checked.to_dict()}
        body = list(chosen["body"])
        folder = work / f"seed-{chosen['seed']}"
        if repeats > 1:
            data |= _summary(runs)
            body.insert(0, _summary_table(runs, data["summary"], chosen["seed"]))
            folder = _together(work, folder, [f"seed-{run['seed']}" for run in runs])
        del data["body"]
        report = Report(f"{output}: {len(splits.test):,} test rows, scored once", data, body)
        durable.write(folder / "report.json", (report.to_json(indent=1) + "\n").encode())
        durable.publish(folder, output)
    return report


def _world() -> "World | None":
    """The processes that a launcher has started; None where this is the only one, and torch need not be there."""
    if processes() == 1:
        return None
    from .training.world import joined

    return joined()


@dataclass(frozen=True)
class _Job:
    """One seed: its checkpoints, and its run folder once it is trained, both in the unfinished run's folder."""

    work: Path
    seed: str
    name: str
    splits: Splits
    lesson: "Lesson | None"
    unlabelled: Sequence[str]

    @property
    def folder(self) -> Path:
        return self.work / self.seed

    @property
    def checkpoints(self) -> Path:
        return self.work / f"checkpoints-{self.seed}"

    @property
    def begun(self) -> bool:
        return self.folder.exists() or self.checkpoints.exists()

    def train(
        self, config: Config, device: str, threads: int | None, stream: Stream | None, every: float | None,
        finish: bool, writes: bool,
    ) -> None:  # fmt: skip
        """The run folder, with the report of the test split; it is whole when it has its name."""
        values = configs.to_dict(config)
        classifier = Classifier(values.pop("preset"), device=device, threads=threads, **values)
        # A model without steps has nothing to keep, so that nobody waits for its end.
        without_steps = config.model == "linear" or config.frozen
        caught = _Signal()
        with nullcontext() if without_steps else caught:
            outcome = classifier.fit_records(
                self.splits.train, validation=self.splits.validation, stream=stream, stop=caught,
                checkpoints=self.checkpoints, every=every, finish=finish, lesson=self.lesson,
                unlabelled=self.unlabelled,
            )  # fmt: skip
        if outcome.interrupted:
            number = caught.number or signal.SIGTERM  # another process was told
            raise Interrupted(
                f"training was stopped by {signal.Signals(number).name} behind step {outcome.step:,}; all of it "
                f"is kept in {self.work}",
                exit_code=128 + number,
                hint="the same command with --resume goes on, and with --resume --finish ends there",
            )
        if not writes:
            return
        from .export.folder import write_report

        folder = self.work / f".{self.seed}{durable.TEMPORARY}"
        folder.mkdir()
        bundle.write(folder, classifier.files(stream))
        give_back()
        # The written folder answers, not the network in memory: what is scored is what ships.
        scored = evaluate(Session(folder, threads=threads), self.splits.test, name=self.name)
        kept, rows = outcome.history[outcome.kept_epoch - 1], self.splits.sizes
        more = len(self.unlabelled) if self.lesson is None else len(self.lesson.rows) - rows["train"]
        data = {
            "model": self.name,
            "seed": config.seed,
            "rows": rows,
            "metrics_split": "test",
            "kept_epoch": outcome.kept_epoch,
            "validation": {key.removeprefix("validation_"): kept[key] for key in kept if key.startswith("validation_")},
            "training_seconds": outcome.seconds,
            "temperature": outcome.temperature,
            **({} if self.lesson is None else {"distilled": {"unlabelled": more}}),
            **({"masked": {"unlabelled": more}} if config.masked_epochs else {}),
            **{key: value for key, value in scored.data.items() if key not in ("model", "rows")},
        }
        title = f"{Path(self.name).name}: {len(self.splits.test):,} test rows, scored once"
        write_report(folder, Report(title, data, scored.body), classifier.config, *classifier.learned_, outcome.history)
        durable.publish(folder, self.folder)
        shutil.rmtree(self.checkpoints, ignore_errors=True)

    def refuse_other(self, config: Config) -> None:
        """Raises ModelError where this seed is trained already, but with another config or on other texts."""
        then = Session(self.folder)
        settled = configs.replace(config, num_classes=len(then.labels.names))
        if then.config != settled or not then.bundle.saw(self.splits.train.texts).all():
            raise ModelError(
                f"{self.folder} must be of the config and the rows that its run goes on with, got a seed of others",
                hint="--force starts from the beginning",
            )

    def scored(self) -> dict[str, Any]:
        """The run's JSON document, with its tables under `body`."""
        data = json.loads((self.folder / "report.json").read_text("utf-8"))
        return data | {"body": body_of(data)}


def unseen(unlabelled: Records | None, splits: Splits) -> Sequence[str]:
    """Those that stand neither in the validation nor in the test set."""
    if unlabelled is None:
        return []
    return unlabelled.subset(without(unlabelled.texts, [*splits.validation.texts, *splits.test.texts])).texts


def _lesson(
    teacher: Path, splits: Splits, unlabelled: Sequence[str], threads: int | None, stream: Stream | None
) -> "Lesson":
    """The teacher's answers to the training rows, and to the unlabelled texts.

    *Raises*: DataError if the teacher learned from test rows, or knows other classes.
    """
    from .training.lesson import lesson

    seen = int(Bundle(teacher).saw(splits.test.texts).sum())
    if seen:
        raise DataError(
            f"the teacher must not have learned from the test rows, got {seen:,} that stand in its training set",
            hint="the file, --seed, --validation and --test that it was trained with",
        )
    model = Classifier.from_pretrained(teacher, threads=threads)
    return lesson(model, splits.train, unlabelled, stream)


def already_finished(output: Path, work: Path) -> Report:
    """What a finished run said of itself; nothing is trained."""
    try:
        data = json.loads((output / "report.json").read_text("utf-8"))
    except (OSError, ValueError):
        raise ModelError(f"{output / 'report.json'} must be the report of a finished run", hint="--force") from None
    shutil.rmtree(work, ignore_errors=True)
    return Report(f"{output} is finished already", data, [])


def _together(work: Path, chosen: Path, seeds: Sequence[str]) -> Path:
    """One folder of the chosen seed's run, with all seeds' runs in it."""
    folder = work / f".run{durable.TEMPORARY}"
    shutil.copytree(chosen, folder)
    for seed in seeds:
        shutil.copytree(work / seed, folder / seed)
    return folder


def _summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    names = ("model", "seed", "kept_epoch", "validation", "metrics", "training_seconds")
    return {
        "runs": [{name: run[name] for name in names} for run in runs],
        "summary": {
            metric: mean_interval([run["metrics"][metric]["value"] for run in runs])
            for metric in ("accuracy", "macro_f1")
        },
    }


def _summary_table(runs: list[dict[str, Any]], summary: dict[str, Any], chosen: int) -> Table:
    rows = [
        [str(run["seed"]), percent(run["validation"]["macro_f1"]),
         *(percent(run["metrics"][metric]["value"]) for metric in ("accuracy", "macro_f1"))]
        for run in runs
    ]  # fmt: skip
    rows.append(["mean", "", *(f"{with_interval(summary[metric])}" for metric in ("accuracy", "macro_f1"))])
    rows.append(["sd", "", *(percent(summary[metric]["sd"]) for metric in ("accuracy", "macro_f1"))])
    note = f"95 % t-interval of the mean over seeds; seed {chosen}, the median by validation, stands in the root"
    return Table("seeds", ["seed", "validation macro-F1", "test accuracy", "test macro-F1"], rows, note)


class _Signal:
    """Notes SIGINT and SIGTERM instead of dying; a second one stops at once. Calling it asks whether one came."""

    number: int | None = None

    def __call__(self) -> bool:
        return self.number is not None

    def __enter__(self) -> "_Signal":
        self._before: dict[int, Any] = {}
        for number in (signal.SIGINT, signal.SIGTERM):
            with suppress(ValueError):  # not the main thread: signals are the caller's there
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _: Any) -> None:
        if self.number is not None:
            raise KeyboardInterrupt
        self.number = number
