"""Does `compare` tell the truth: an encoding against itself, order planted, and a task in which order is nothing.

usage: python benchmarks/compare.py TEXTS.csv --output DIR [--workers 2] [--rows 1000]
Every run is kept in DIR and done once. Self: 30 units (six shuffles in five folds, and 30 draws of `roles`) of
`learned` with two seeds each; 2,000 times half of them are taken, the two runs of each unit change places at random,
and the difference is judged. Planted: `none` beside `learned` on twenty draws of `roles`, and on twenty sets whose
class is a word that stands anywhere; twenty times ten of the draws are taken.
"""

import argparse
from collections import Counter
from pathlib import Path

import numpy as np
from machine import machine
from scipy import stats

from scriptchain.bench import Arm, Pool, Rows, arms_of
from scriptchain.bench.rows import Unit
from scriptchain.bench.verdicts import difference, judge
from scriptchain.bench.workers import run_all
from scriptchain.data.records import Records, read

MARGIN, OTHER = 0.01, 500_000
SMALL = ["d_model=32", "num_heads=4", "num_layers=2", "d_feedforward=64"]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rows", type=int, default=1000)
    told = parser.parse_args()
    print(machine(), flush=True)
    itself(Rows(read(told.file).sample(told.rows, seed=0)), told)
    planted(told)


def itself(rows: Rows, told: argparse.Namespace) -> None:
    """Units that share rows (folds), and units that share none (draws)."""
    (arm,) = arms_of("small", ["learned", "none"], settings=[*SMALL, "epochs=8"])[:1]
    for name, some, units, chosen in (
        ("folds", rows, rows.units(6), 3), ("draws", Rows(task="roles"), Rows(task="roles").units(30), 15),
    ):  # fmt: skip
        both = [runs([arm], units, some, seed, told, f"self-{name}-{seed}")[arm.name] for seed in (0, OTHER)]
        scores = np.array([[one[unit] for unit in units] for one in both])
        rng, found = np.random.default_rng(0), Counter()
        repeats = np.array([unit.repeat for unit in units])
        for _ in range(2000):
            taken = np.isin(repeats, rng.choice(np.unique(repeats), chosen, replace=False))
            swap = rng.random(int(taken.sum())) < 0.5
            a, b = np.where(swap, scores[:, taken][::-1], scores[:, taken])
            one = difference(a, b, some.overlap, 1 / 200)
            found[judge({"it": one}, MARGIN, some.overlap)["it"]["verdict"]] += 1
        low, high = stats.binom.interval(0.95, 2000, 0.025)
        print(f"itself on {name}, 60 runs, 2,000 pairings: {dict(found)}; one of forty is {low:.0f} to {high:.0f}; "
              f"sd of a difference {100 * (scores[0] - scores[1]).std(ddof=1):.1f} points", flush=True)  # fmt: skip


def planted(told: argparse.Namespace) -> None:
    arms = arms_of("small", ["none", "learned"], settings=[*SMALL, "epochs=8"])
    draws = [Unit(number, 0) for number in range(20)]
    order = runs(arms, draws, Rows(task="roles"), 0, told, "roles")
    words: dict[str, dict[Unit, float]] = {arm.name: {} for arm in arms}
    for draw in draws:
        rows = Rows(bag(draw.repeat), seed=draw.repeat)
        for name, one in runs(arms, [Unit(0, 0)], rows, draw.repeat, told, f"words-{draw.repeat}").items():
            words[name][draw] = one[Unit(0, 0)]
    for name, scores, wanted in (("roles", order, "worse"), ("one word", words, "equivalent")):
        rng, found = np.random.default_rng(0), Counter()
        for _ in range(20):
            chosen = [draws[number] for number in rng.choice(20, 10, replace=False)]
            one = difference([scores["none"][draw] for draw in chosen], [scores["learned"][draw] for draw in chosen],
                             0.0, 1 / 350)  # fmt: skip
            found[judge({"none": one}, MARGIN, 0.0)["none"]["verdict"]] += 1
        means = {arm: 100 * float(np.mean(list(one.values()))) for arm, one in scores.items()}
        print(f"{name}: none {means['none']:.1f}, learned {means['learned']:.1f}; none is {wanted} in "
              f"{found[wanted]} of 20 ({dict(found)})", flush=True)  # fmt: skip


def bag(seed: int, number: int = 1750) -> Records:
    """Rows of eight words; which of two is among them is the class."""
    rng = np.random.default_rng(seed)
    words = [f"word{one}" for one in range(200)]
    texts = [
        " ".join(rng.permutation([*rng.choice(words, 7), "sunny" if row % 2 else "rainy"])) for row in range(number)
    ]
    return Records(texts, ["yes" if row % 2 else "no" for row in range(number)], list(range(1, number + 1)), "words")


def runs(
    arms: list[Arm], units: list[Unit], rows: Rows, seed: int, told: argparse.Namespace, name: str
) -> dict[str, dict[Unit, float]]:
    """Macro-F1 of every arm on every unit; what DIR holds is not done again."""
    folder = told.output / name
    folder.mkdir(parents=True, exist_ok=True)
    pool = Pool(folder, rows.digest)
    open_ones = [(arm, unit) for unit in units for arm in arms if (unit.repeat, unit.fold) not in pool.of(arm.id)]
    for run in run_all(open_ones, rows, seed, told.workers if len(open_ones) > 4 else 1):
        pool.add(run)
    return {arm.name: {Unit(*key): run.macro_f1 for key, run in pool.of(arm.id).items()} for arm in arms}


if __name__ == "__main__":
    main()
