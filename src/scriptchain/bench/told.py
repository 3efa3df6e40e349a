"""What a pool of runs says: verdicts on the candidates, whether order matters, lengths, what more runs would see."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..report import Report, Table, duration, percent
from ..scoring.intervals import wilson
from .arms import Arm, without_positions
from .pool import Pool, Run
from .rows import Rows
from .verdicts import FEWEST, Difference, difference, judge, power_table

BUCKETS = 4
SCORES = {
    "labels": {"name": "macro-F1", "unit": "points"},
    "hidden": {"name": "loss of hidden words", "unit": "hundredths of a nat"},
}


def report_of(
    rows: Rows, arms: Sequence[Arm], base: Arm, pool: Pool, margin: float, *, seconds: float, going_on: Sequence[str]
) -> Report:
    """From the pool alone; nothing is trained."""
    runs = {arm.name: pool.of(arm.id) for arm in arms}
    gaps = {arm.name: _gap(runs[arm.name], runs[base.name], rows) for arm in arms if arm is not base}
    verdicts = judge(gaps, margin, rows.overlap)
    told = [_candidate(arm, base, runs[arm.name], gaps, verdicts) for arm in arms]
    alive = [arm for arm in arms if arm.name in going_on] or arms
    pick, why = _pick(alive, runs, rows, margin)
    order = _order(arms, runs, rows, margin)
    correlations = [one.correlation for one in gaps.values() if np.isfinite(one.correlation)]
    spreads = [one.sd for one in gaps.values() if np.isfinite(one.sd)]
    spread = float(np.median(spreads)) if spreads else float("nan")
    most = max(len(found) for found in runs.values())
    power = (
        power_table(spread, rows.overlap, [most, 2 * most, 4 * most, 8 * most]) if spreads and most >= FEWEST else []
    )
    lengths = _by_length(runs, rows)
    data: dict[str, Any] = {
        "baseline": base.name, "margin": margin, "candidates": told, "recommended": pick, "why": why, "order": order,
        "correlation": float(np.median(correlations)) if correlations else None, "seconds": seconds,
        "power": [{"units": units, "difference": one} for units, one in power], "lengths": lengths,
        "going_on": list(going_on), "runs": len(pool.runs), "data": rows.digest,
        "learned_words": rows.learned_words, "score": SCORES[rows.by],
    }  # fmt: skip
    name = rows.task if rows.records is None else rows.records.source
    return Report(f"compare: {name}", data, _body(data, rows))


def _gap(ours: dict[tuple[int, int], Run], theirs: dict[tuple[int, int], Run], rows: Rows) -> Difference:
    units = sorted(set(ours) & set(theirs))
    fewest = min((len(ours[unit].lengths) for unit in units), default=1)
    return difference([ours[unit].score for unit in units], [theirs[unit].score for unit in units],
                      rows.overlap, 1 / fewest, math.inf if rows.by == "hidden" else 1.0)  # fmt: skip


def _candidate(
    arm: Arm, base: Arm, runs: dict[tuple[int, int], Run], gaps: dict[str, Difference],
    verdicts: dict[str, dict[str, Any]],
) -> dict[str, Any]:  # fmt: skip
    found = list(runs.values())
    told: dict[str, Any] = {
        "name": arm.name, "id": arm.id, "units": len(found), "diverged": sum(run.diverged for run in found),
        "score": float(np.mean([run.score for run in found])) if found else None,
        "macro_f1": _mean([run.macro_f1 for run in found]), "loss": _mean([run.loss for run in found]),
        "accuracy": float(np.mean([run.accuracy for run in found])) if found else None,
        "step_ms": float(np.median([run.step_ms for run in found])) if found else None,
        "parameters": found[0].parameters if found else None, "memory_mb": found[0].memory_mb if found else None,
    }  # fmt: skip
    if arm is base:
        return told | {"verdict": "baseline", "difference": None, "more_units": None}
    return told | {"difference": gaps[arm.name].to_dict()} | verdicts[arm.name]


def _mean(values: Sequence[float | None]) -> float | None:
    return None if not values or None in values else float(np.mean(np.array(values, float)))


def _pick(
    arms: Sequence[Arm], runs: dict[str, dict[tuple[int, int], Run]], rows: Rows, margin: float
) -> tuple[str, str]:
    """The cheapest a step of those that are shown to be no more than the margin behind the best.

    The best on units that all have: where time ended within a unit, those who had their turn would be judged by rows of
    their own.
    """
    able = [arm.name for arm in arms if runs[arm.name]]
    shared = sorted(set.intersection(*(set(runs[name]) for name in able)))
    mean = {name: float(np.mean([runs[name][unit].score for unit in shared])) for name in able}
    cost = {name: float(np.median([run.step_ms for run in runs[name].values()])) for name in able}
    best = max(able, key=lambda name: mean[name])
    to_best = {name: _gap(runs[name], runs[best], rows) for name in able if name != best}
    judged = judge(to_best, margin, rows.overlap)
    close = [name for name in to_best if judged[name]["verdict"] == "equivalent" and cost[name] < cost[best]]
    pick = min([*close, best], key=lambda name: cost[name])
    if pick != best:
        behind = f"at most {100 * margin:g} {SCORES[rows.by]['unit']} behind {best}"
        return pick, f"{behind}, {percent(1 - cost[pick] / cost[best])} cheaper a step"
    undecided = [name for name in to_best if judged[name]["verdict"] == "UNDECIDED"]
    open_ones = f"; UNDECIDED beside {', '.join(undecided)}" if undecided else ""
    return pick, f"the best mean of {len(able)} on {len(shared)} units{open_ones}"


def _order(
    arms: Sequence[Arm], runs: dict[str, dict[tuple[int, int], Run]], rows: Rows, margin: float
) -> dict[str, Any] | None:
    """Does word order matter: all that have positions beside `none`, by Holm, so that the luckiest of many proves
    nothing; told of the best of those that are better, or of all."""
    plain = next((arm for arm in arms if arm.config.positions == "none"), None)
    others = [arm for arm in arms if plain is not None and arm is not plain
              and without_positions(arm.config) == without_positions(plain.config)]  # fmt: skip
    if plain is None or not others:
        return None
    gaps = {arm.name: _gap(runs[arm.name], runs[plain.name], rows) for arm in others}
    enough = [name for name, gap in gaps.items() if gap.units >= FEWEST]
    if not enough:
        return {
            "verdict": "UNDECIDED",
            "best": None,
            "difference": None,
            "says": "does order matter? Too few units to say",
        }
    judged = judge(gaps, margin, rows.overlap)
    better = [name for name in enough if judged[name]["verdict"] == "better"]
    undecided = any(one["verdict"] == "UNDECIDED" for one in judged.values())
    verdict = "TRUE" if better else "UNDECIDED" if undecided else "FALSE"
    best = max(better or enough, key=lambda name: gaps[name].value)
    told = gaps[best].to_dict()
    return {"verdict": verdict, "best": best, "difference": told,
            "says": f"order matters: {verdict}; {best} beside none {points(told)}"}  # fmt: skip


def _by_length(runs: dict[str, dict[tuple[int, int], Run]], rows: Rows) -> dict[str, Any]:
    """Accuracy by the number of words, in four parts of about as many rows, on the units that all candidates have; of
    folds those of the first shuffle, in which each row is scored once."""
    shared = [unit for unit in sorted(set.intersection(*(set(found) for found in runs.values())))
              if unit[0] == 0 or not rows.overlap]  # fmt: skip
    if not shared:
        return {"buckets": [], "accuracy": {}}
    first = next(iter(runs.values()))
    lengths = np.concatenate([first[unit].lengths for unit in shared])
    learned = rows.learned_words
    ends = np.quantile(lengths, np.linspace(0, 1, BUCKETS + 1))
    if learned is not None:  # half of the parts lie beyond what was learned from
        middle = (lengths.min() + learned) / 2, (learned + lengths.max()) / 2
        ends = np.array([lengths.min(), middle[0], learned + 1, middle[1] + 1, lengths.max() + 1])
    edges = np.unique(ends.astype(int))
    at = np.clip(np.searchsorted(edges, lengths, side="right") - 1, 0, max(0, len(edges) - 2))
    right = {name: np.concatenate([found[unit].correct for unit in shared]) for name, found in runs.items()}
    parts = np.unique(at)
    ranges = [(lengths[at == part].min(), lengths[at == part].max()) for part in parts]
    buckets = [f"{low}-{high}" if low < high else f"{low}" for low, high in ranges]
    accuracy = {name: [dict(wilson(int(one[at == part].sum()), int((at == part).sum()))) for part in parts]
                for name, one in right.items()}  # fmt: skip
    return {"buckets": buckets, "accuracy": accuracy}


def points(one: dict[str, Any]) -> str:
    """A difference in points or hundredths of a nat, with its interval."""
    return f"{100 * one['value']:+.1f} [{100 * one['low']:+.1f}, {100 * one['high']:+.1f}]"


def _row(one: dict[str, Any]) -> list[Any]:
    verdict, more = one["verdict"], one.get("more_units")
    if verdict == "UNDECIDED":
        units = "unit" if more == 1 else "units"
        verdict += f" ({more} more {units})" if more is not None else " (more units would not tell)"
    if not one["units"]:
        return [one["name"], "-", "-", verdict, "-", "-", "-", 0]
    score = percent(one["macro_f1"]) if one["loss"] is None else f"{one['loss']:.3f}"
    gap = "" if one["difference"] is None else points(one["difference"])
    return [one["name"], score, gap, verdict, f"{one['step_ms']:.1f}", f"{one['parameters']:,}",
            f"{one['memory_mb']:,.0f}", one["units"]]  # fmt: skip


def _body(data: dict[str, Any], rows: Rows) -> list[Table | str]:
    table = [_row(one) for one in sorted(data["candidates"], key=lambda one: -(one["score"] or 0))]
    what = "draws" if rows.records is None else f"folds ({rows.folds} a shuffle)"
    margin, score = 100 * data["margin"], data["score"]
    correlation = "" if data["correlation"] is None else f"; pairs correlate by {data['correlation']:.2f}"
    columns = ["candidate", score["name"], f"beside {data['baseline']}", "verdict", "ms/step", "parameters", "MiB"]
    parts: list[Table | str] = [
        f"recommended: {data['recommended']} ({data['why']})",
        *([data["order"]["says"]] if data["order"] else []),
        Table(
            "candidates",
            [*columns, "units"],
            table,
            f"{score['unit']}; units are {what}; 95 % intervals"
            f"{', corrected for rows that folds share' if rows.overlap else ''}; verdicts by Holm, equivalent "
            f"within ±{margin:g}{correlation}",
        ),
    ]  # fmt: skip
    if data["power"]:
        parts.append(Table(
            "what so many units see", ["units", f"smallest difference, {score['unit']}"],
            [[one["units"], f"{100 * one['difference']:.1f}"] for one in data["power"]],
            "that four of five comparisons would find, at the spread seen here",
        ))  # fmt: skip
    if data["lengths"]["buckets"]:
        parts.append(Table(
            "accuracy by words", ["candidate", *data["lengths"]["buckets"]],
            [[name, *(percent(one["value"]) for one in found)] for name, found in data["lengths"]["accuracy"].items()],
            "" if data["learned_words"] is None else f"learned from up to {data['learned_words']} words",
        ))  # fmt: skip
    return [*parts, f"{data['runs']} runs, {duration(data['seconds'])}"]
