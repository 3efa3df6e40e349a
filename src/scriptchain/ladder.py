"""From the majority class to a distilled student, on the same rows: which is the smallest model worth shipping?

A rung is a recipe. All are trained on the same parts of the rows and score the same others, which no rung learned from
or chose by; the test rows take no part. The smallest one ships that is not worse than the best by more than a margin.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import config as configs
from . import durable, run
from .classifier import Classifier
from .data.labels import Labels
from .data.records import Records
from .data.splits import folds, split, without
from .errors import ConfigError, DataError, UsageError
from .report import Report, Stream, Table, duration, percent, with_interval
from .run import Splits, make_splits
from .scoring.intervals import Interval, macro_f1_interval, paired_difference

FEW_A_CLASS = 100  # texts to learn from, on average, up to which `few` is tried; it was measured at 8 and 64
FEW, FOLDS = 5_000, 3  # below so many rows every row is scored, in so many folds
TIMED = 64  # texts that the latency is measured on
TRIED = 500  # rows that the linear model's time is foreseen from


@dataclass(frozen=True)
class Limits:
    """What the climb and the model that ships may cost: seconds, bytes, milliseconds a text (None is no limit), and by
    how much macro-F1, a share, it may be worse than the best."""

    seconds: float | None = None
    size: float | None = None
    latency: float | None = None
    margin: float = 0.01


@dataclass
class Rung:
    """A recipe and what it showed: answers `(N,)` on the rows that all are scored on, bytes of what answering needs,
    milliseconds a text alone (median), seconds of one training (mean), macro-F1, and the lead of the best over it."""

    name: str
    answers: NDArray[np.int64]
    size: int
    latency: float
    seconds: float
    score: Interval
    lead: Interval | None = None
    verdict: str = ""


@dataclass(frozen=True)
class Part:
    """Rows to learn from, rows to choose the epoch by, and rows to be scored on."""

    learn: Records
    choose: Records
    score: Records


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
    checkpoint_every: float | None = None,
    device: str = "auto",
    threads: int | None = None,
    stream: Stream | None = None,
) -> Report:
    """Climbs, then trains what won on all training rows into the run folder `output`, which scores the test rows once.

    A student's teacher stays beside it, in `OUTPUT-teacher`. `ladder.json` and `ladder.png` tell how it was chosen.

    *Raises*: UsageError for a budget that not even the linear model keeps; else as `run.train`.
    """
    teacher = output.with_name(f"{output.name}-teacher")
    for place in (output, teacher):  # better now than behind the climb
        run.check_output(place, force)
        if not force:
            run.refuse_unfinished(place.with_name(f"{place.name}-partial"))
    splits = make_splits(rows, validation, test, seed)
    texts = [] if unlabelled is None else unlabelled.texts
    texts = [texts[row] for row in without(texts, [*splits.validation.texts, *splits.test.texts])]
    climbed, chosen = climb(splits, limits, texts, seed=seed, device=device, threads=threads, stream=stream)
    if stream is not None:
        stream.write(f"{climbed['verdict']}: {chosen} is trained on all training rows\n")
    options = {"validation": validation, "test": test, "force": force, "checkpoint_every": checkpoint_every,
               "device": device, "threads": threads, "stream": stream}  # fmt: skip
    if chosen == "student":
        run.train(rows, recipe("tuned", seed), teacher, **options)
        options |= {"teacher": teacher, "unlabelled": unlabelled}
    report = run.train(rows, recipe(chosen, seed), output, **options)
    durable.write(output / "ladder.json", (climbed.to_json(indent=1) + "\n").encode())
    durable.write(output / "ladder.png", _picture(climbed.data))
    return Report(report.title, {**report.data, "ladder": climbed.to_dict()}, [*climbed.body, *report.body])


def recipe(name: str, seed: int) -> configs.Config:
    """The config of a rung; a student is `static` where its vectors are there. Its targets are soft already."""
    if name != "student":
        return configs.resolve(name, overrides={"seed": seed})
    student = "small" if _missing("static", seed) else "static"
    return configs.resolve(student, overrides={"seed": seed, "label_smoothing": 0.0})


def climb(
    splits: Splits, limits: Limits, unlabelled: Sequence[str] = (), *, seed: int = 0, device: str = "auto",
    threads: int | None = None, stream: Stream | None = None,
    watch: Callable[[str, Sequence[Classifier]], object] = lambda name, models: None,
) -> tuple[Report, str]:  # fmt: skip
    """Every rung's figures, and the name of the one to ship; nothing is learned from or scored on the test rows.

    `watch` is shown each rung's name and models, one a fold, and has no say.
    """
    begun = time.perf_counter()
    parts, labels = _parts(splits, seed), Labels.from_names(splits.train.labels or [])
    truth = np.concatenate([labels.index(part.score.labels or []) for part in parts])
    say: Callable[[str], object] = (lambda line: None) if stream is None else (lambda line: stream.write(f"{line}\n"))
    build = partial(_fit, device=device, threads=threads, stream=stream)
    foreseen, left_out = _foreseen(parts[0], labels, len(unlabelled), seed, device)
    total = {name: seconds * (len(parts) + 1) for name, seconds in foreseen.items()}
    say("at most about " + ", ".join(f"{duration(seconds)} for {name}" for name, seconds in total.items()))
    budget = limits.seconds
    if budget is not None and total["linear"] > budget:
        raise UsageError(
            f"--budget must be at least {max(1, round(total['linear']))}s, the linear model's time, got {budget:g}s",
            hint=f"--budget {max(1, round(total['linear']))}s",
        )
    rungs = [_majority(truth, parts, labels)]
    teachers: list[Classifier] = []
    for name in foreseen:
        spent = time.perf_counter() - begun
        if budget is not None and name != "linear" and spent + total[name] > budget:
            left = duration(max(0.0, budget - spent))
            left_out[name] = f"it takes at most {duration(total[name])}, and {left} of the budget are left"
        elif name == "student" and not teachers:
            left_out[name] = "no teacher was trained"
        else:
            models, seconds = [], 0.0
            for number, part in enumerate(parts):
                say(f"{name}: training {number + 1} of {len(parts)}")
                start = time.perf_counter()
                teacher = teachers[number] if name == "student" else None
                models.append(build(recipe(name, seed), part, teacher, unlabelled))
                seconds += time.perf_counter() - start
            if name == "tuned":
                teachers = models
            watch(name, models)
            rungs.append(_measured(name, models, parts, labels, truth, seconds / len(parts)))
            say(f"{name}: macro-F1 {with_interval(rungs[-1].score)}")
    chosen, verdict = choose(rungs, truth, len(labels), limits)
    report = _report(rungs, left_out, chosen, verdict, limits, len(truth), len(parts))
    if len(parts) > 1:  # of a small set: would more labels help?
        from .training.learning_curve import learning_curve

        with suppress(DataError):  # too few rows, or a class with fewer texts than its folds
            curve = learning_curve(_together(splits), seed, say)
            both = {**report.data, "learning_curve": curve.to_dict()}
            report = Report(report.title, both, [*report.body, *curve.body])
    return report, chosen


def choose(rungs: Sequence[Rung], truth: NDArray[np.int64], num_classes: int, limits: Limits) -> tuple[str, str]:
    """Which rung ships, and DECIDED or UNDECIDED; `rungs` begins with the majority class, which never does."""
    able = []
    for rung in rungs[1:]:
        too_large = limits.size is not None and rung.size > limits.size
        too_slow = limits.latency is not None and rung.latency > limits.latency
        rung.verdict = "too large" if too_large else "too slow" if too_slow else ""
        able += [] if rung.verdict else [rung]
    if not able:
        smallest = min(rungs[1:], key=lambda rung: rung.size)
        raise UsageError(
            f"--max-size and --max-latency must leave one model, got none; the smallest, {smallest.name}, has "
            f"{_bytes(smallest.size)} and takes {smallest.latency:.2f} ms",
            hint="raise them",
        )
    best = max(able, key=lambda rung: rung.score["value"])
    for rung in rungs:
        rung.lead = paired_difference(truth, best.answers, rung.answers, num_classes, metric="macro_f1")
    for rung in able:
        assert rung.lead is not None
        worse = rung.lead["low"] > limits.margin
        rung.verdict = "not worse" if rung.lead["high"] <= limits.margin else "worse" if worse else "undecided"
    best.verdict = "best"
    smaller = [rung for rung in able if rung.size < best.size]
    safe = [rung for rung in smaller if rung.verdict == "not worse"]
    shipped = min([*safe, best], key=lambda rung: rung.size)
    open_ones = [rung for rung in smaller if rung.verdict == "undecided" and rung.size < shipped.size]
    return shipped.name, "UNDECIDED" if open_ones else "DECIDED"


def _parts(splits: Splits, seed: int) -> list[Part]:
    """Folds of a small set; else the validation rows are scored, and a tenth of the training rows chooses."""

    def inner(learn: Records, score: Records) -> Part:
        rows, chosen = split(learn.texts, learn.labels or [], (0.9, 0.1), seed=seed)
        return Part(learn.subset(rows), learn.subset(chosen), score)

    train, validation = splits.train, splits.validation
    if len(train) + len(validation) >= FEW:
        return [inner(train, validation)]
    both = _together(splits)
    parts = folds(both.texts, both.labels or [], FOLDS, seed)
    return [inner(both.subset(rows), both.subset(held)) for rows, held in parts]


def _together(splits: Splits) -> Records:
    """Every row that is no test row."""
    one, other = splits.train, splits.validation
    labels = [*(one.labels or []), *(other.labels or [])]
    return Records([*one.texts, *other.texts], labels, [*one.lines, *other.lines], one.source)


def _fit(
    config: configs.Config, part: Part, teacher: Classifier | None, unlabelled: Sequence[str], *, device: str,
    threads: int | None, stream: Stream | None,
) -> Classifier:  # fmt: skip
    from .training.lesson import lesson

    model = _unfitted(config, device, threads)
    taught = None
    if teacher is not None:  # never what it is scored on, though its label would stay unknown
        kept = without(unlabelled, [*part.choose.texts, *part.score.texts])
        texts: list[str] = [unlabelled[int(row)] for row in kept]
        taught = lesson(teacher, part.learn, texts, stream)
    model.fit_records(part.learn, validation=part.choose, lesson=taught, stream=stream)
    return model


def _unfitted(config: configs.Config, device: str, threads: int | None = None) -> Classifier:
    values = configs.to_dict(config)
    return Classifier(values.pop("preset"), device=device, threads=threads, **values)


def _measured(
    name: str, models: Sequence[Classifier], parts: Sequence[Part], labels: Labels, truth: NDArray[np.int64],
    seconds: float,
) -> Rung:  # fmt: skip
    answers = np.concatenate(
        [model.logits(part.score.texts).argmax(1) for model, part in zip(models, parts, strict=True)]
    )
    size, logits = models[0].shipped()
    texts = parts[0].score.texts[:TIMED]
    times = []
    for text in [texts[0], *texts]:
        start = time.perf_counter()
        logits([text])
        times.append(1000 * (time.perf_counter() - start))
    score = macro_f1_interval(truth, answers, len(labels))
    return Rung(name, answers, size, float(np.median(times[1:])), seconds, score)


def _majority(truth: NDArray[np.int64], parts: Sequence[Part], labels: Labels) -> Rung:
    most = [np.bincount(labels.index(part.learn.labels or [])).argmax() for part in parts]
    answers = np.repeat(most, [len(part.score) for part in parts])
    return Rung("majority", answers, 0, 0.0, 0.0, macro_f1_interval(truth, answers, len(labels)), verdict="never ships")


def _foreseen(
    part: Part, labels: Labels, unlabelled: int, seed: int, device: str
) -> tuple[dict[str, float], dict[str, str]]:
    """Seconds of one training of each rung at most, cheapest kind first, and why others are left out."""
    from .training.baseline import fit_baseline

    some = part.learn.subset(np.sort(np.random.default_rng(seed).permutation(len(part.learn))[:TRIED]))
    fit_baseline(["this one", "that other"], [0, 1], 2)  # loads scikit-learn, which is no part of a training
    start = time.perf_counter()
    numbers = labels.index(some.labels or [])
    fit_baseline(some.texts, numbers, len(labels), (some.texts, numbers))
    seconds = {"linear": (time.perf_counter() - start) * len(part.learn) / len(some)}
    left_out: dict[str, str] = {}
    few = ("few",) if len(part.learn) <= FEW_A_CLASS * len(labels) else ()
    for name in ("small", "static", "frozen", *few, "tuned"):
        missing = _missing(name, seed)
        if missing:
            left_out[name] = missing
        else:
            seconds[name] = _unfitted(recipe(name, seed), device).seconds(part.learn)
            if name == "tuned":
                texts = 1 + unlabelled / len(part.learn)
                seconds["student"] = texts * (seconds.get("static", seconds["small"]) + seconds["frozen"])
    return seconds, left_out


def _missing(name: str, seed: int) -> str | None:
    """What to install for a rung whose weights are not there."""
    from .training.start import start_of

    try:
        start_of(recipe(name, seed))
    except ConfigError as error:
        return error.hint or error.message
    return None


def _bytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB"


def _report(
    rungs: Sequence[Rung], left_out: dict[str, str], chosen: str, verdict: str, limits: Limits, rows: int, parts: int
) -> Report:
    def told(rung: Rung) -> dict[str, Any]:
        lead = rung.lead
        return {"name": rung.name, "macro_f1": rung.score, "best_lead": lead, "bytes": rung.size,
                "milliseconds": rung.latency, "training_seconds": rung.seconds, "verdict": rung.verdict}  # fmt: skip

    data = {"chosen": chosen, "verdict": verdict, "margin": limits.margin, "rows": rows, "folds": parts,
            "rungs": [told(rung) for rung in rungs], "left_out": left_out}  # fmt: skip
    table = Table(
        "ladder", ["rung", "macro-F1", "lead of the best", "size", "ms a text", "training", ""],
        [
            [rung.name, with_interval(rung.score), with_interval(rung.lead or rung.score), _bytes(rung.size),
             f"{rung.latency:.2f}", duration(rung.seconds), "ships" if rung.name == chosen else rung.verdict]
            for rung in rungs
        ],
        note=f"{rows:,} rows, which no rung learned from" + (f", in {parts} folds" if parts > 1 else "")
        + "; 95 % intervals, paired on the same rows",
    )  # fmt: skip
    margin = percent(limits.margin)
    body: list[Table | str] = [table]
    if verdict == "DECIDED":
        body.append(f"DECIDED: {chosen} is the smallest that is not worse than the best by more than {margin}")
    else:
        body.append(f"UNDECIDED: these rows do not tell whether a smaller one is within {margin}; {chosen} ships")
    body += [f"{name} is left out: {why}" for name, why in left_out.items()]
    return Report("the ladder", data, body)


def _picture(data: Mapping[str, Any]) -> bytes:
    """The rungs from small to large, each with its score, interval and cost; the band is what the margin allows."""
    import io

    import matplotlib
    from matplotlib.figure import Figure

    from .style import FIRST, INK, SECOND, style

    matplotlib.use("Agg")
    rungs = sorted(data["rungs"], key=lambda rung: rung["bytes"])
    best = 100 * max(rung["macro_f1"]["value"] for rung in rungs if rung["verdict"] == "best")
    with style():
        figure = Figure(figsize=(7.2, 0.42 * len(rungs) + 1.1), layout="constrained")
        axes = figure.subplots()
        axes.axvspan(best - 100 * data["margin"], best, color=SECOND, alpha=0.15, linewidth=0)
        for row, rung in enumerate(rungs):
            ships = rung["name"] == data["chosen"]
            color = SECOND if ships else INK if rung["name"] == "majority" else FIRST
            low, value, high = (100 * rung["macro_f1"][bound] for bound in ("low", "value", "high"))
            axes.errorbar([value], [row], xerr=[[value - low], [high - value]], fmt="o", color=color, capsize=3)
            cost = (
                "" if rung["name"] == "majority" else f"{_bytes(rung['bytes'])}, {rung['milliseconds']:.2f} ms a text"
            )
            axes.annotate(f"{cost}{', ships' if ships else ''}", (1.02, row), xycoords=("axes fraction", "data"),
                          va="center", color=color, annotation_clip=False)  # fmt: skip
        axes.set_yticks(range(len(rungs)), [rung["name"] for rung in rungs])
        axes.set(xlabel="macro-F1 (%), 95 % interval; band: the margin below the best", ylim=(len(rungs) - 0.5, -0.5))
        written = io.BytesIO()
        figure.savefig(written, dpi=130, metadata={"Software": None})
    return written.getvalue()
