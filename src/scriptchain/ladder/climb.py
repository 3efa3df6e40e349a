"""From the majority class to a distilled student, on the same rows: which is the smallest model worth shipping?

A rung is a recipe. All are trained on the same parts of the rows and score the same others, which no rung learned from
or chose by; the test rows take no part. The smallest one ships that is not worse than the best by more than a margin.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ..classifier import Classifier
from ..data.labels import Labels
from ..data.splits import without
from ..errors import DataError, UsageError
from ..report import Report, Stream, duration, with_interval
from ..run import Splits
from ..runtime.session import milliseconds
from ..scoring.intervals import macro_f1_interval
from . import recipes
from .kept import Kept
from .parts import Part, parts_of, together
from .rung import Limits, Rung, Trial, choose, rung_of
from .told import report_of


def climb(
    splits: Splits, limits: Limits, kept: Kept, unlabelled: Sequence[str] = (), *, seed: int = 0, device: str = "auto",
    threads: int | None = None, stream: Stream | None = None,
    watch: Callable[[str, Classifier], object] = lambda name, model: None,
) -> tuple[Report, str]:  # fmt: skip
    """Every rung's figures, and the name of the one to ship; nothing is learned from or scored on the test rows.

    It goes on from what is `kept`. `watch` is shown each rung's name and models, one a part, and has no say.
    """
    begun = time.perf_counter()
    parts, labels = parts_of(splits, seed), Labels.from_names(splits.train.labels or [])
    truth = np.concatenate([labels.index(part.score.labels or []) for part in parts])
    say: Callable[[str], object] = (lambda line: None) if stream is None else (lambda line: stream.write(f"{line}\n"))
    foreseen, left_out = recipes.foreseen(parts[0], labels, len(unlabelled), seed, device)
    total = {name: seconds * (len(parts) + 1) for name, seconds in foreseen.items()}
    say("at most about " + ", ".join(f"{duration(seconds)} for {name}" for name, seconds in total.items()))
    budget = limits.seconds
    if budget is not None and total["linear"] > budget:
        raise UsageError(
            f"--budget must be at least {max(1, round(total['linear']))}s, the linear model's time, got {budget:g}s",
            hint=f"--budget {max(1, round(total['linear']))}s",
        )
    rungs = [_majority(truth, parts, labels)]
    train = partial(_trained, kept=kept, seed=seed, unlabelled=unlabelled, device=device, threads=threads,
                    stream=stream, watch=watch)  # fmt: skip
    before = 0.0  # seconds of what an earlier climb kept
    for name in foreseen:
        known = [kept.trial(name, number) for number in range(len(parts))]
        before += sum(trial.seconds for trial in known if trial is not None)
        spent = before + time.perf_counter() - begun
        if budget is not None and name != "linear" and None in known and spent + total[name] > budget:
            left = duration(max(0.0, budget - spent))
            left_out[name] = f"it takes at most {duration(total[name])}, and {left} of the budget are left"
        elif name == "student" and "tuned" not in [rung.name for rung in rungs]:
            left_out[name] = "no teacher was trained"
        else:
            trials: list[Trial] = []
            for number, (part, trial) in enumerate(zip(parts, known, strict=True)):
                say(f"{name}: training {number + 1} of {len(parts)}{' is kept' if trial else ''}")
                trials.append(trial or train(name, number, part))
            rungs.append(rung_of(name, trials, truth, len(labels)))
            say(f"{name}: macro-F1 {with_interval(rungs[-1].score)}")
    chosen, verdict = choose(rungs, truth, len(labels), limits)
    report = report_of(rungs, left_out, chosen, verdict, limits, len(truth), len(parts))
    if len(parts) > 1:  # of a small set: would more labels help?
        from ..training.learning_curve import learning_curve

        with suppress(DataError):  # too few rows, or a class with fewer texts than its folds
            curve = learning_curve(together(splits), seed, say)
            both = {**report.data, "learning_curve": curve.to_dict()}
            report = Report(report.title, both, [*report.body, *curve.body])
    return report, chosen


def _trained(
    name: str, number: int, part: Part, *, kept: Kept, seed: int, unlabelled: Sequence[str], device: str,
    threads: int | None, stream: Stream | None, watch: Callable[[str, Classifier], object],
) -> Trial:  # fmt: skip
    """One training, measured and kept."""
    from ..training.lesson import lesson

    start = time.perf_counter()
    model, taught = recipes.unfitted(recipes.recipe(name, seed), device, threads), None
    if name == "student":  # never taught what it is scored on, though its label would stay unknown
        others = without(unlabelled, [*part.choose.texts, *part.score.texts])
        taught = lesson(kept.teacher(number, threads), part.learn, [str(unlabelled[row]) for row in others], stream)
    model.fit_records(
        part.learn, validation=part.choose, lesson=taught, stream=stream, checkpoints=kept.checkpoints(name, number),
        every=kept.every,
    )  # fmt: skip
    watch(name, model)
    seconds = time.perf_counter() - start
    trial = Trial(model.logits(part.score.texts).argmax(1), seconds)
    if number == 0:  # an export takes longer than many a training, and those of a recipe are alike
        size, logits = model.shipped()
        trial = replace(trial, size=size, latency=milliseconds(logits, part.score.texts))
    if name == "tuned":
        kept.keep_teacher(number, model)
    kept.keep(name, number, trial)
    return trial


def _majority(truth: NDArray[np.int64], parts: Sequence[Part], labels: Labels) -> Rung:
    most = [np.bincount(labels.index(part.learn.labels or [])).argmax() for part in parts]
    answers = np.repeat(most, [len(part.score) for part in parts])
    return Rung("majority", answers, 0, 0.0, 0.0, macro_f1_interval(truth, answers, len(labels)), verdict="never ships")
