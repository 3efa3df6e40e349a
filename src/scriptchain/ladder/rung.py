"""A rung of the ladder and what it showed, and which of them ships: the smallest that is surely good enough."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from ..report import megabytes
from ..scoring.intervals import Interval, macro_f1_interval, paired_difference


@dataclass(frozen=True)
class Limits:
    """What the climb and the model that ships may cost: seconds, bytes, milliseconds a text (None is no limit), and by
    how much macro-F1, a share, it may be worse than the best."""

    seconds: float | None = None
    size: float | None = None
    latency: float | None = None
    margin: float = 0.01


@dataclass(frozen=True)
class Trial:
    """One training and what it showed: answers `(N,)` on the rows of its part and the seconds that it took; of the
    first one of a recipe, bytes of what answering needs and milliseconds a text alone (median)."""

    answers: NDArray[np.int64]
    seconds: float
    size: int = 0
    latency: float = 0.0


@dataclass
class Rung:
    """A recipe and what its trials showed: their answers in a row, bytes and milliseconds of the first, means of the
    seconds; macro-F1, and the lead of the best over it."""

    name: str
    answers: NDArray[np.int64]
    size: int
    latency: float
    seconds: float
    score: Interval
    lead: Interval | None = None
    verdict: str = ""


def rung_of(name: str, trials: Sequence[Trial], truth: NDArray[np.int64], num_classes: int) -> Rung:
    """From a trial a part, whose rows are those of `truth` `(N,)`."""
    answers = np.concatenate([trial.answers for trial in trials])
    seconds = float(np.mean([trial.seconds for trial in trials]))
    score = macro_f1_interval(truth, answers, num_classes)
    return Rung(name, answers, trials[0].size, trials[0].latency, seconds, score)


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
            f"{megabytes(smallest.size)} and takes {smallest.latency:.2f} ms",
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
