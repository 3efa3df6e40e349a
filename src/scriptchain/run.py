"""One training job from rows to a run folder: check, split, train, score the test split once, write."""

import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import config as configs
from .classifier import Classifier
from .config import Config
from .data.check import check
from .data.records import Records
from .data.splits import split, without
from .errors import Interrupted, ResourceError, UsageError
from .report import Report, Stream, Table, percent, with_interval
from .runtime import bundle
from .runtime.evaluation import evaluate
from .runtime.session import Session
from .scoring.intervals import mean_interval


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
    """
    notes: list[str] = []

    def keep(records: Records, name: str, others: Records, where: str) -> Records:
        kept = without(records.texts, others.texts)
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
    repeats: int = 1,
    force: bool = False,
    device: str = "auto",
    threads: int | None = None,
    stream: Stream | None = None,
) -> Report:
    """Trains into the folder `output` and reports the figures of the test split; nothing half done takes that name.

    With `repeats`, each of N seeds trains into `seed-K/` and the root is the run of median validation macro-F1.

    *Raises*: UsageError if `output` is taken; DataError, ConfigError and DivergedError as `Classifier.fit`;
    Interrupted after SIGINT or SIGTERM, when what was learned is saved beside `output`.
    """
    _check_output(output, force)
    start = time.perf_counter()
    checked = check(rows, test)
    splits = make_splits(rows, validation, test, config.seed)
    if stream is not None:
        stream.writelines(f"check: {line}\n" for line in checked["warnings"])
        stream.writelines(f"splits: {line}\n" for line in splits.notes)
        stream.write(
            "{train:,} rows to train on, {validation:,} to choose by, {test:,} to score once\n".format(**splits.sizes)
        )
    with _staging(output) as folder:
        runs: list[dict[str, Any]] = []
        for seed in range(config.seed, config.seed + repeats):
            place = f"seed-{seed}" if repeats > 1 else ""
            if place and stream is not None:
                stream.write(f"seed {seed}: run {len(runs) + 1} of {repeats}\n")
            seeded = configs.replace(config, seed=seed)
            try:
                runs.append(_train_once(seeded, splits, folder / place, str(output / place), device, threads, stream))
            except Interrupted as stopped:
                raise _kept(stopped, folder, output, place) from None
        chosen = sorted(runs, key=lambda run: run["validation"]["macro_f1"])[(repeats - 1) // 2]
        data = chosen | {"model": str(output), "seconds": time.perf_counter() - start, "check": checked.to_dict()}
        body = list(chosen["body"])
        if repeats > 1:
            shutil.copytree(folder / f"seed-{chosen['seed']}", folder, dirs_exist_ok=True)
            data |= _summary(runs)
            body.insert(0, _summary_table(runs, data["summary"], chosen["seed"]))
        del data["body"]
        report = Report(f"{output}: {len(splits.test):,} test rows, scored once", data, body)
        (folder / "report.json").write_text(report.to_json(indent=1) + "\n", "utf-8")
        _publish(folder, output)
    return report


def _train_once(
    config: Config, splits: Splits, folder: Path, name: str, device: str, threads: int | None, stream: Stream | None
) -> dict[str, Any]:
    """One seed into `folder`: the run's JSON document, with its tables under `body`."""
    values = configs.to_dict(config)
    classifier = Classifier(values.pop("preset"), device=device, threads=threads, **values)
    start = time.perf_counter()
    with _Signal() as caught:
        outcome = classifier.fit_records(splits.train, validation=splits.validation, stream=stream, stop=caught)
    seconds = time.perf_counter() - start
    folder.mkdir(exist_ok=True)
    bundle.write(folder, classifier.files())
    if outcome.interrupted:
        assert caught.number is not None
        name_of_signal = signal.Signals(caught.number).name
        raise Interrupted(f"training was stopped by {name_of_signal}", exit_code=128 + caught.number)
    from .export.folder import write_report

    # The written folder answers, not the network in memory: what is scored is what ships.
    scored = evaluate(Session(folder, threads=threads), splits.test, name=name)
    kept = outcome.history[outcome.kept_epoch - 1]
    data = {
        "model": name,
        "seed": config.seed,
        "rows": splits.sizes,
        "metrics_split": "test",
        "kept_epoch": outcome.kept_epoch,
        "validation": {key.removeprefix("validation_"): kept[key] for key in kept if key.startswith("validation_")},
        "training_seconds": seconds,
        **{key: value for key, value in scored.data.items() if key not in ("model", "rows")},
    }
    title = f"{Path(name).name}: {len(splits.test):,} test rows, scored once"
    write_report(folder, Report(title, data, scored.body), classifier.config, classifier.network_, outcome.history)
    return data | {"body": scored.body}


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


def _kept(stopped: Interrupted, folder: Path, output: Path, place: str) -> Interrupted:
    """Gives what is there a name of its own beside `output`, finished seeds too, and tells the user which."""
    saved = output.with_name(f"{output.name}-interrupted")
    if saved.exists():
        shutil.rmtree(saved)
    folder.chmod(0o755)
    folder.rename(saved)
    return Interrupted(
        f"{stopped.message}; what was learned so far is in {saved / place}",
        exit_code=stopped.exit_code,
        hint=f"scriptchain evaluate {saved / place} FILE",
    )


def _check_output(output: Path, force: bool) -> None:
    if not output.exists():
        return
    if not force:
        raise UsageError(f"--output must not exist yet, got {str(output)!r}", hint="--force replaces it")
    if not output.is_dir() or (any(output.iterdir()) and not (output / "manifest.json").exists()):
        raise UsageError(f"--force replaces run folders only, got {str(output)!r}", hint="choose another --output")


@contextmanager
def _staging(output: Path) -> Iterator[Path]:
    """A folder beside `output` to write into; whatever is left of it at the end is removed."""
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{output.name}-", dir=output.parent))
    except OSError as error:
        raise ResourceError(f"{output.parent} must be a folder that can be written ({error.strerror})") from None
    try:
        yield folder
    except OSError as error:
        if isinstance(error, ResourceError):
            raise
        raise ResourceError(f"{output} cannot be written ({error.strerror})", hint="--output on another disk") from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _publish(folder: Path, output: Path) -> None:
    """Gives the finished folder its name; what stood there goes only after the new one is complete."""
    folder.chmod(0o755)
    if output.exists():
        old = Path(tempfile.mkdtemp(prefix=f".{output.name}-old-", dir=output.parent))
        output.rename(old / "run")
        folder.rename(output)
        shutil.rmtree(old)
    else:
        folder.rename(output)
