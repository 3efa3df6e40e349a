"""What `compare --budget 15m` picks, and what that costs beside the best: regret against an exhaustive grid.

usage: python benchmarks/selector.py TEXTS.csv ... --output DIR [--tasks even_pairs,indexing] [--budget 900]
Of each file 4,000 rows are taken. Eight encodings are compared under the budget, then all of them are trained on five
other units (another shuffle in five folds, or five other draws), and the pick is scored by its mean there. Every run is
kept in DIR and done once.
"""

import argparse
from pathlib import Path

import numpy as np
from kept import compared
from machine import machine

from scriptchain import bench
from scriptchain.bench import single
from scriptchain.data.records import read
from scriptchain.report import Report

ENCODINGS = ("none", "learned", "sinusoidal", "rope", "alibi", "t5_bias", "kerple", "transformer_xl")
ROWS, UNITS, OTHER = 4_000, 5, 1_000


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("files", nargs="*")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--tasks", default="even_pairs,indexing")
    parser.add_argument("--budget", type=float, default=900)
    parser.add_argument("--workers", type=int, default=2)
    told = parser.parse_args()
    print(machine(), flush=True)
    single.one_thread()
    arms = bench.arms_of("small", ENCODINGS)
    regrets: dict[str, list[list[float]]] = {"texts": [], "tasks": []}
    print("| | best of the grid | picked | regret of the pick, of `learned`, of `rope` |\n|---|---|---|---|")
    for kind, names in (("texts", told.files), ("tasks", told.tasks.split(",") if told.tasks else [])):
        for name in names:
            stem = Path(name).parent.name if kind == "texts" else name
            picked = report_on(name, kind, 0, arms, told.output / stem / "picked", told, budget=told.budget)
            grid = report_on(name, kind, OTHER, arms, told.output / stem / "grid", told, budget=None)
            means = {one["name"]: 100 * one["score"] for one in grid["candidates"]}
            best, pick = max(means, key=means.__getitem__), picked["recommended"]
            regrets[kind].append([means[best] - means[one] for one in (pick, "learned", "rope")])
            print(f"| {stem} | `{best}` {means[best]:.1f} | `{pick}` {means[pick]:.1f} | "
                  f"{', '.join(f'{one:.1f}' for one in regrets[kind][-1])} |", flush=True)  # fmt: skip
    for kind, found in regrets.items():
        if found:
            means = ", ".join(f"{one:.2f}" for one in np.mean(found, axis=0))
            print(f"mean regret on {kind}: {means} points (picked, always learned, always rope)")


def report_on(
    name: str, kind: str, seed: int, arms: list[bench.Arm], folder: Path, told: argparse.Namespace,
    budget: float | None,
) -> Report:  # fmt: skip
    if kind == "tasks":
        rows, repeats = bench.Rows(task=name, seed=seed), UNITS
    else:
        rows, repeats = bench.Rows(read(name).sample(ROWS, seed=0), folds=UNITS, seed=seed), 1
    report, _ = compared(rows, arms, bench.Plan("learned", repeats, budget, workers=told.workers, seed=seed), folder)
    return report


if __name__ == "__main__":
    main()
