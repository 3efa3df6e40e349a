"""Trainings side by side: the same rows in the same order for every arm of a seed, so that only the arms differ.

Arms share the seed of the order of rows and of initial values; only the arm that is asked to differs in it.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from torch import nn

from ..config import Config, replace
from ..data.ragged import lengths
from ..errors import DivergedError
from ..model.pipeline import Network
from ..report import duration
from ..training.loop import Examples, batch_limit, fit, validate
from ..training.seed import seeded

Progress = Callable[[str], object]
PROBED = 4  # steps that an estimate is taken from


@dataclass(frozen=True)
class Task:
    """Rows to train on, to choose by, and to score the finalists on; `vocab_size` and `num_classes` of the network."""

    train: Examples
    choose: Examples
    score: Examples
    vocab_size: int
    num_classes: int


@dataclass(frozen=True)
class Arm:
    """`kind` is what the arm stands for: as it is, no change, remedy, random or shallower."""

    name: str
    kind: str
    config: Config
    initial_offset: int = 0  # of the seed: an arm in which nothing but chance differs


@dataclass(frozen=True)
class Trial:
    """`accuracy` on the rows that it was scored on, `fitted` on those it learned from (shares); a training that
    diverged answers with the most frequent class."""

    arm: Arm
    seed: int
    accuracy: float
    fitted: float
    seconds: float
    network: nn.Module | None
    diverged: bool = False


def run(
    arms: Sequence[Arm], seeds: Sequence[int], task: Task, scored: Examples, *, seconds: float = 0.0, rest: float = 0.0,
    progress: Progress = lambda line: None, each: Callable[[Trial], object] = lambda trial: None,
) -> list[Trial]:  # fmt: skip
    """Every arm on every seed, seed by seed; `seconds` is what that is expected to take, `rest` what comes after it."""
    found: list[Trial] = []
    start, total = time.perf_counter(), len(arms) * len(seeds)
    for seed in seeds:
        for arm in arms:
            trial = train(arm, seed, task, scored)
            found.append(trial)
            each(trial)
            taken = time.perf_counter() - start
            left = taken / len(found) * (total - len(found)) if len(found) > len(arms) else max(0.0, seconds - taken)
            progress(
                f"{len(found)} of {total}: {arm.name}, seed {seed}: accuracy {100 * trial.accuracy:.1f} %"
                f"{' (diverged)' if trial.diverged else ''}; about {duration(left + rest)} left"
            )
    return found


def train(arm: Arm, seed: int, task: Task, scored: Examples) -> Trial:
    start = time.perf_counter()
    config = replace(arm.config, seed=seed)
    try:
        with seeded(seed + arm.initial_offset):
            network = Network(config, task.vocab_size, task.num_classes)
            fit(network, task.train, config, validation=task.choose, device="cpu")
    except DivergedError:
        most = float(np.bincount(scored.labels).max() / len(scored.labels))
        return Trial(arm, seed, most, most, time.perf_counter() - start, None, diverged=True)
    return Trial(
        arm, seed, validate(network, scored)["accuracy"], validate(network, task.train)["accuracy"],
        time.perf_counter() - start, network,
    )  # fmt: skip


def estimate(arms: Sequence[Arm], task: Task) -> list[float]:
    """Wall seconds that one training of each arm takes at most, from a few steps of each."""
    found = []
    for arm in arms:
        steps, begun = (
            batch_limit(arm.config).batches(lengths(task.train.ids)) * arm.config.epochs,
            [time.perf_counter()],
        )

        def enough(begun: list[float] = begun) -> bool:
            begun.append(time.perf_counter())
            return len(begun) > PROBED + 1

        with seeded(0):
            network = Network(arm.config, task.vocab_size, task.num_classes)
            fit(network, task.train, arm.config, device="cpu", stop=enough)
        found.append(steps * float(np.median(np.diff(begun[1:]))))
    return found
