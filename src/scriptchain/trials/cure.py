"""A cure, tried: what the verdicts point at, trained beside the stack as it is, itself by another seed, a random change
and shallower stacks.

Two stages. All remedies and depths are trained once, and the best of each kind by the choosing rows goes on. The
finalists are trained again on seeds that were not seen before and scored on rows that chose nothing, so that the winner
is not the luckiest of many.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..config import Config, replace, to_dict, to_toml
from ..errors import UsageError
from ..lab import Batch, examine
from ..report import Report, Table, duration
from ..scoring.intervals import mean_interval
from .paired import Arm, Progress, Task, Trial, estimate, run
from .remedies import random_change, remedies_for

SEEDS = 3
FEWEST_EPOCHS = 2
POINT = 0.01  # of accuracy
SHALLOWER = (1 / 8, 1 / 4, 1 / 2)  # of the layers


@dataclass(frozen=True)
class Plan:
    """The arms of both stages, the epochs that the budget leaves, and the wall seconds of each stage at most."""

    screened: list[Arm]
    kept: list[Arm]
    epochs: int
    screening: float
    finals: float

    @property
    def seconds(self) -> float:
        return self.screening + self.finals


def plan(
    config: Config,
    verdicts: Sequence[str],
    task: Task,
    *,
    minutes: float | None = None,
    examined: float = 0.0,
    seed: int = 0,
) -> Plan:
    """Which trainings answer, and how long they take; with `minutes` the epochs of all arms shrink alike.

    `examined` is what one examination of a finalist takes, in seconds.

    *Raises*: UsageError where no remedy is known for any of the verdicts, or for a budget that is too small.
    """
    remedies = remedies_for(config, verdicts)
    if not remedies:
        raise UsageError(f"verdicts must have a remedy that changes the config, got {', '.join(verdicts) or 'none'}")
    depths = sorted({max(1, round(share * config.num_layers)) for share in SHALLOWER} - {config.num_layers})
    screened = [
        *(Arm(remedy.name, "remedy", changed) for remedy, changed in remedies),
        *(Arm(f"{depth} layers", "shallower", replace(config, num_layers=depth)) for depth in depths),
    ]
    said, changed = random_change(config, seed)
    kept = [
        Arm("as it is", "as it is", config),
        Arm("no change, another seed", "no change", config, initial_offset=10_000),
        Arm(f"random: {said}", "random", changed),
    ]
    each = estimate([*screened, *kept], task)
    once, finals = sum(each[: len(screened)]), sum(each[len(screened) :])
    # The finalists of the screening are not known yet: the slowest of each kind is counted.
    slowest = [max(each[n] for n, arm in enumerate(screened) if arm.kind == kind)
               for kind in {arm.kind for arm in screened}]  # fmt: skip
    all_finals, epochs, share = SEEDS * (finals + sum(slowest)), config.epochs, 1.0
    looks = SEEDS * (len(kept) + len(slowest)) * examined
    seconds = once + all_finals + looks
    if minutes is not None and seconds > 60 * minutes:
        epochs = int(config.epochs * (60 * minutes - looks) / (seconds - looks))
        if epochs < FEWEST_EPOCHS:
            needed = (FEWEST_EPOCHS / config.epochs * (seconds - looks) + looks) / 60
            raise UsageError(f"--minutes must be at least {needed:.0f} for {len(screened)} arms and {SEEDS} seeds, got "
                             f"{minutes:g}", hint="fewer rows, or a smaller config")  # fmt: skip
        share = epochs / config.epochs
    return Plan(
        _shortened(screened, epochs), _shortened(kept, epochs), epochs, share * once, share * all_finals + looks
    )


def cure(
    config: Config, verdicts: Sequence[str], task: Task, batches: Sequence[Batch], planned: Plan, *, seed: int = 0,
    progress: Progress = lambda line: None,
) -> Report:  # fmt: skip
    """Runs the plan. The report's `winner` is a config, or None where nothing was better than nothing.

    `verdicts` are those that hold; the first of them is followed in the finalists, whose networks are examined.
    """
    progress(
        f"{len(planned.screened)} remedies and depths once, {len(planned.kept) + 2} finalists on {SEEDS} seeds, "
        f"{planned.epochs} epochs each: at most about {duration(planned.seconds)}"
    )
    screening = run(
        planned.screened, [seed], task, task.choose, seconds=planned.screening, rest=planned.finals,
        progress=lambda line: progress(f"screening, {line}"),
    )  # fmt: skip
    remedy, shallower = (_best(screening, kind) for kind in ("remedy", "shallower"))
    finalists = [*planned.kept, remedy.arm, *([shallower.arm] if shallower else [])]
    states: dict[tuple[str, int], dict[str, Any]] = {}

    def look(trial: Trial) -> None:
        if trial.network is not None:
            found = examine(trial.network, batches, seed=trial.seed)
            states[trial.arm.name, trial.seed] = found["verdicts"]

    seeds = list(range(seed + 1, seed + 1 + SEEDS))
    trials = run(
        finalists, seeds, task, task.score, seconds=planned.finals, progress=lambda line: progress(f"finals, {line}"),
        each=look,
    )  # fmt: skip
    followed = verdicts[0]
    arms = [_summary(arm, trials, states, followed) for arm in finalists]
    data = _conclusion(arms, remedy.arm.name, replace(remedy.arm.config, epochs=config.epochs), followed) | {
        "arms": arms, "screening": [_once(trial) for trial in screening], "followed": followed,
        "epochs": planned.epochs, "seeds": seeds,
        "rows": {"train": len(task.train.ids), "choose": len(task.choose.ids), "score": len(task.score.ids)},
    }  # fmt: skip
    return Report("cure", data, _body(data))


def _shortened(arms: Sequence[Arm], epochs: int) -> list[Arm]:
    return [Arm(arm.name, arm.kind, replace(arm.config, epochs=epochs), arm.initial_offset) for arm in arms]


def _best(trials: Sequence[Trial], kind: str) -> Trial:
    return max((trial for trial in trials if trial.arm.kind == kind), key=lambda trial: trial.accuracy)


def _summary(
    arm: Arm, trials: Sequence[Trial], states: dict[tuple[str, int], dict[str, Any]], followed: str
) -> dict[str, Any]:
    """Means over seeds, and the paired difference to the stack as it is."""
    own = {trial.seed: trial for trial in trials if trial.arm.name == arm.name}
    base = {trial.seed: trial.accuracy for trial in trials if trial.arm.kind == "as it is"}
    measured = [states[arm.name, seed][followed] for seed in own if (arm.name, seed) in states]
    return {
        "name": arm.name, "kind": arm.kind, "config": to_dict(arm.config),
        "accuracy": dict(mean_interval([trial.accuracy for trial in own.values()])),
        "fitted": dict(mean_interval([trial.fitted for trial in own.values()])),
        "difference": dict(mean_interval([trial.accuracy - base[seed] for seed, trial in own.items()])),
        "trials": [_once(trial) for trial in own.values()],
        "metric": [one["value"] for one in measured], "holds": sum(one["state"] == "HOLDS" for one in measured),
        "seconds": sum(trial.seconds for trial in own.values()),
    }  # fmt: skip


def _once(trial: Trial) -> dict[str, Any]:
    return {
        "name": trial.arm.name, "kind": trial.arm.kind, "seed": trial.seed, "accuracy": trial.accuracy,
        "fitted": trial.fitted, "diverged": trial.diverged,
    }  # fmt: skip


def _conclusion(arms: Sequence[dict[str, Any]], name: str, config: Config, followed: str) -> dict[str, Any]:
    """`config` is the remedy's, with the epochs that a training without a budget has."""
    by_kind = {arm["kind"]: arm for arm in arms}
    one, base, shallower = by_kind["remedy"], by_kind["as it is"], by_kind.get("shallower")
    better = one["difference"]["low"] > 0
    cured = one["holds"] * 2 < len(one["metric"]) and base["holds"] * 2 > len(base["metric"])
    luck = max(abs(by_kind[kind]["difference"]["value"]) for kind in ("no change", "random"))
    says = [f"{name}: {_points(one['difference'])} points beside the stack as it is"]
    if cured and not better:
        says.append(f"cured the metric ({followed}), not the accuracy")
    if better and not cured:
        says.append(f"the accuracy is better, the metric ({followed}) is not cured")
    if better and one["difference"]["value"] <= luck:
        says.append(f"no more than another seed or a random change brings ({100 * luck:.1f} points)")
    if shallower is not None:
        gap = one["accuracy"]["value"] - shallower["accuracy"]["value"]
        near = gap >= -POINT
        says.append(
            f"{'within a point of' if near and gap < POINT else 'above' if near else 'below'} the best shallower stack "
            f"({shallower['name']}: {100 * shallower['accuracy']['value']:.1f} % beside "
            f"{100 * one['accuracy']['value']:.1f} %)"
        )
    won = better and one["difference"]["value"] > luck
    if won:
        says.append("the config that won: " + ", ".join(to_toml(config).splitlines()))
    return {
        "remedy": name, "cured_metric": cured, "cured_accuracy": better, "says": says,
        "winner": to_dict(config) if won else None,
    }  # fmt: skip


def _points(one: dict[str, float]) -> str:
    return f"{100 * one['value']:+.1f} [{100 * one['low']:+.1f}, {100 * one['high']:+.1f}]"


def _body(data: dict[str, Any]) -> list[Table | str]:
    rows = [
        [arm["name"], arm["kind"], f"{100 * arm['accuracy']['value']:.1f} %", _points(arm["difference"]),
         f"{100 * arm['fitted']['value']:.1f} %", f"{arm['holds']} of {len(arm['metric'])}"]
        for arm in data["arms"]
    ]  # fmt: skip
    screening = [[one["name"], one["kind"], f"{100 * one['accuracy']:.1f} %", f"{100 * one['fitted']:.1f} %"]
                 for one in data["screening"]]  # fmt: skip
    return [
        *data["says"],
        Table(
            "finalists", ["arm", "kind", "accuracy", "beside as it is, points", "fitted", f"{data['followed']} holds"],
            rows,
            f"{len(data['seeds'])} paired seeds, {data['rows']['score']:,} rows that chose nothing; 95 % t-interval",
        ),
        Table("screening", ["arm", "kind", "accuracy", "fitted"], screening,
              f"one seed, {data['rows']['choose']:,} rows to choose by"),
    ]  # fmt: skip
