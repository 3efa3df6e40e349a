"""Candidates on the same units: all of them on the first, then, under a budget, ever fewer on ever more.

Successive halving (arXiv 1502.07943): after each round the better half goes on, and the baseline always. Who was left
behind keeps the verdict that its units allow. Which runs stand in the pool is all that matters: a comparison that was
stopped goes on from there.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ..errors import UsageError
from ..report import Report, duration
from .arms import Arm, baseline_of
from .pool import Pool, Run
from .rows import Rows, Unit
from .told import report_of
from .verdicts import FEWEST
from .workers import run_all

Progress = Callable[[str], object]
MOST_REPEATS = 40  # under a budget


@dataclass(frozen=True)
class Plan:
    """`repeats` of all units where there is no `budget` in seconds; `margin` is a share of macro-F1."""

    baseline: str
    repeats: int = 2
    budget: float | None = None
    margin: float = 0.01
    workers: int = 1
    seed: int = 0
    device: str = "cpu"


def compare(rows: Rows, arms: Sequence[Arm], pool: Pool, plan: Plan, progress: Progress = lambda line: None) -> Report:
    """Trains what the pool does not hold yet, and tells what it says.

    *Raises*: UsageError for a baseline that is no candidate, and for a budget in which not all candidates are trained
    once.
    """
    begun = time.perf_counter()
    base = baseline_of(arms, plan.baseline)
    if rows.by == "hidden":
        _check_tokens(arms)
    foreseen = _foreseen(rows, arms, pool, plan)
    before = sum(run.seconds for run in pool.runs) / plan.workers
    once = sum(foreseen[arm.id] for arm in arms if not pool.of(arm.id)) / plan.workers
    units = rows.units(plan.repeats if plan.budget is None else MOST_REPEATS)
    if plan.budget is None:
        wanted = sum(foreseen[arm.id] for arm, _ in _open(arms, units, pool)) / plan.workers
        progress(f"{len(arms)} candidates on {len(units)} units: at most about {duration(wanted)}")
    else:
        progress(
            f"{len(arms)} candidates within {duration(plan.budget)}; those without a run: at most {duration(once)}"
        )
        if once and plan.budget < before + once:
            raise UsageError(
                f"--budget must be at least {math.ceil(before + once)}s for one run of each of {len(arms)} candidates, "
                f"got {plan.budget:g}s",
                hint="fewer candidates, or --rows 1000",
            )
    alive, size = list(arms), len(units) if plan.budget is None else FEWEST

    def spent() -> float:
        return before + time.perf_counter() - begun

    def out_of_time() -> bool:
        return plan.budget is not None and spent() + _typical(alive, foreseen, pool) > plan.budget

    while True:
        for run in run_all(_open(alive, units[:size], pool), rows, plan.seed, plan.workers, out_of_time, plan.device):
            pool.add(run)
            left = len(list(_open(alive, units[:size], pool)))
            seconds = left * _typical(alive, foreseen, pool) / plan.workers
            if plan.budget is not None:
                seconds = min(seconds, max(0.0, plan.budget - spent()))
            progress(
                f"{run.name}, unit {run.repeat * rows.each + run.fold + 1}: {run.said}"
                f"{' (diverged)' if run.diverged else ''}; {left} left, about {duration(seconds)}"
            )
        if size >= len(units) or out_of_time():
            break
        alive = _better_half(alive, base, pool)
        size = min(2 * size, len(units))
        progress(f"goes on with {', '.join(arm.name for arm in alive)}")
    return report_of(rows, arms, base, pool, plan.margin, seconds=spent(), going_on=[arm.name for arm in alive])


def _check_tokens(arms: Sequence[Arm]) -> None:
    """Losses of other tokens are losses of other questions."""
    for key in ("tokenizer", "lowercase", "vocab_size", "min_frequency", "max_seq_len", "starts_with_cls", "init"):
        if any(getattr(arm.config, key) != getattr(arms[0].config, key) for arm in arms):
            raise UsageError(f"--by hidden must have candidates that cut texts alike, got several {key}",
                             hint="--by labels")  # fmt: skip


def _open(arms: Sequence[Arm], units: Sequence[Unit], pool: Pool) -> Iterator[tuple[Arm, Unit]]:
    """What the pool does not hold, unit by unit: wherever it ends, the candidates have the same units."""
    known = {arm.id: pool.of(arm.id) for arm in arms}
    return ((arm, unit) for unit in units for arm in arms if (unit.repeat, unit.fold) not in known[arm.id])


def _foreseen(rows: Rows, arms: Sequence[Arm], pool: Pool, plan: Plan) -> dict[str, float]:
    """Seconds that a run of each candidate takes: those of its runs, or at most what a few steps let expect."""
    from .single import seconds

    known = {arm.id: [run.seconds for run in pool.of(arm.id).values()] for arm in arms}
    return {
        arm.id: _mean(known[arm.id]) if known[arm.id] else seconds(arm, rows, plan.seed, plan.device) for arm in arms
    }


def _typical(arms: Sequence[Arm], foreseen: dict[str, float], pool: Pool) -> float:
    """Seconds of one more run, the mean over who is still there."""
    ids = {arm.id for arm in arms}
    taken = [run.seconds for run in pool.runs if run.arm in ids]
    return _mean(taken or [foreseen[arm] for arm in ids])


def _better_half(arms: Sequence[Arm], base: Arm, pool: Pool) -> list[Arm]:
    others = sorted((arm for arm in arms if arm is not base), key=lambda arm: -_lead(arm, base, pool))
    kept = {base.id, *(arm.id for arm in others[: max(1, len(others) // 2)])}
    return [arm for arm in arms if arm.id in kept]


def _lead(arm: Arm, base: Arm, pool: Pool) -> float:
    theirs: dict[tuple[int, int], Run] = pool.of(base.id)
    return _mean([run.score - theirs[unit].score for unit, run in pool.of(arm.id).items() if unit in theirs])


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
