"""M11, what training makes of depth: fitted and held-out accuracy at each number of layers, over seeds.

Two diseases must not be mixed up. A stack that overfits learns its rows and loses on others, the more the deeper; one
that cannot train learns nothing, and has no gap to show for it. A gap counts only where the rows are learned.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import linregress, t

from ..config import Config, replace
from ..errors import UsageError
from ..report import Report, Table, duration
from ..scoring.intervals import mean_interval
from .paired import Arm, Progress, Task, Trial, estimate, run

SEEDS, FEWEST_EPOCHS = 3, 2
LEARNED = 0.9  # fitted accuracy of the best depth: below it, there is nothing yet that could be overfitted
LOST = 0.05  # of fitted accuracy beside a shallower stack: that much less is not learned


def curves(
    config: Config, depths: Sequence[int], task: Task, *, minutes: float | None = None, seed: int = 0,
    progress: Progress = lambda line: None,
) -> Report:  # fmt: skip
    """Trains the config at every depth on paired seeds; with `minutes` the epochs of all shrink alike.

    The report's `verdict` is TRUE where the gap grows with depth among the stacks that learn their rows, FALSE where it
    does not, else UNDECIDED; `cannot_train` names the depths that do not learn theirs.

    *Raises*: UsageError for fewer than two depths or a budget that is too small.
    """
    if len(set(depths)) < 2:
        raise UsageError(f"depths must be at least two, got {list(depths)}", hint="--depths 3,6,12,24")
    arms = [Arm(f"{depth} layers", "depth", replace(config, num_layers=depth)) for depth in sorted(set(depths))]
    seconds, epochs = SEEDS * sum(estimate(arms, task)), config.epochs
    if minutes is not None and seconds > 60 * minutes:
        epochs = int(config.epochs * 60 * minutes / seconds)
        if epochs < FEWEST_EPOCHS:
            needed = math.ceil(FEWEST_EPOCHS / config.epochs * seconds / 60)
            raise UsageError(f"--minutes must be at least {needed} for {len(arms)} depths and {SEEDS} seeds, got "
                             f"{minutes:g}", hint="fewer depths or rows")  # fmt: skip
        arms = [Arm(arm.name, arm.kind, replace(arm.config, epochs=epochs)) for arm in arms]
        seconds *= epochs / config.epochs
    progress(f"{len(arms)} depths on {SEEDS} seeds, {epochs} epochs each: at most about {duration(seconds)}")
    trials = run(arms, range(seed, seed + SEEDS), task, task.score, seconds=seconds, progress=progress)
    found = [_at(arm, trials) for arm in arms]
    failed = _cannot_train(found)
    slope = _gap_slope([trial for trial in trials if trial.arm.config.num_layers not in failed])
    learned = max(one["fitted"]["value"] for one in found)
    state = _state(slope, learned)
    data: dict[str, Any] = {
        "claim": "overfitting grows with layers", "verdict": state, "law": "logarithmic", "exponent": slope,
        "quantity": "fitted less held-out accuracy", "points": found, "cannot_train": failed, "epochs": epochs,
    }  # fmt: skip
    rows = [
        [one["depth"], _share(one["fitted"]), _share(one["accuracy"]), _share(one["gap"]),
         "no" if one["depth"] in failed else "yes"]
        for one in found
    ]  # fmt: skip
    body = [
        f"overfitting grows with layers: {state}",
        f"the gap changes by {100 * slope['value']:+.1f} points [{100 * slope['low']:+.1f}, "
        f"{100 * slope['high']:+.1f}] each time that depth doubles, among stacks that learn their rows",
        *([f"no depth learns its rows in {epochs} epochs: nothing can be overfitted yet"] if learned < LEARNED else []),
        *([f"cannot train at {', '.join(map(str, failed))} layers"] if failed else []),
        Table("depths", ["layers", "fitted", "held out", "gap", "learns its rows"], rows,
              f"{SEEDS} seeds, {epochs} epochs, {len(task.train.ids):,} rows to learn, {len(task.score.ids):,} held "
              "out; mean and 95 % t-interval"),
    ]  # fmt: skip
    return Report("claim", data, body)


def _state(slope: dict[str, float], learned: float) -> str:
    """FALSE needs an interval that leaves no room for a growth of LOST a doubling; seeds may say too little."""
    if learned < LEARNED or math.isnan(slope["value"]):
        return "UNDECIDED"
    if slope["low"] > 0:
        return "TRUE"
    return "FALSE" if slope["high"] < LOST else "UNDECIDED"


def _at(arm: Arm, trials: Sequence[Trial]) -> dict[str, Any]:
    own = [trial for trial in trials if trial.arm == arm]
    return {
        "depth": arm.config.num_layers,
        "fitted": dict(mean_interval([trial.fitted for trial in own])),
        "accuracy": dict(mean_interval([trial.accuracy for trial in own])),
        "gap": dict(mean_interval([trial.fitted - trial.accuracy for trial in own])),
    }


def _cannot_train(found: Sequence[dict[str, Any]]) -> list[int]:
    """Depths whose rows are learned worse than a shallower stack learns them."""
    failed = []
    for number, one in enumerate(found):
        best = max((other["fitted"]["value"] for other in found[:number]), default=0.0)
        if one["fitted"]["value"] < best - LOST:
            failed.append(one["depth"])
    return failed


def _gap_slope(trials: Sequence[Trial]) -> dict[str, float]:
    """Of the gap against the logarithm of depth to base 2, with its 95 % interval."""
    depths = np.log2([trial.arm.config.num_layers for trial in trials])
    if len(set(depths)) < 2:
        return dict.fromkeys(("value", "low", "high"), math.nan)
    fit: Any = linregress(depths, [trial.fitted - trial.accuracy for trial in trials])
    half = float(t.ppf(0.975, len(trials) - 2) * fit.stderr)
    return {"value": float(fit.slope), "low": float(fit.slope) - half, "high": float(fit.slope) + half}


def _share(one: dict[str, float]) -> str:
    return f"{100 * one['value']:.1f} % [{100 * one['low']:.1f}, {100 * one['high']:.1f}]"
