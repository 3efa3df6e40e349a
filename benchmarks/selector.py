"""What `compare --budget 15m` picks, and what that costs beside the best: regret against an exhaustive grid.

usage: python benchmarks/selector.py TEXTS.csv ... --output DIR [--tasks even_pairs,indexing] [--budget 900]
Of each file 4,000 rows are taken. Eight encodings are compared under the budget, then all of them are trained on five
other units (another shuffle in five folds, or five other draws), and the pick is scored by its mean there. Regret is
told twice: beside the best mean, which holds that one's luck, and, unit by unit, beside the best of the four others.
Every run is kept in DIR and done once.
"""

import argparse
from pathlib import Path

import numpy as np
from kept import compared
from machine import machine
from numpy.typing import NDArray

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
    regrets: dict[str, list[NDArray[np.float64]]] = {"texts": [], "tasks": []}
    print("| | best of the grid | picked | regret of it, of `learned`, of `rope` | beside the best of other units |")
    print("|---|---|---|---|---|")
    for kind, names in (("texts", told.files), ("tasks", told.tasks.split(",") if told.tasks else [])):
        for name in names:
            stem = Path(name).parent.name if kind == "texts" else name
            picked, _ = compared_on(name, kind, 0, arms, told.output / stem / "picked", told, budget=told.budget)
            _, pool = compared_on(name, kind, OTHER, arms, told.output / stem / "grid", told, budget=None)
            scores = np.array([[100 * run.score for _, run in sorted(pool.of(arm.id).items())] for arm in arms])
            pick, means = ENCODINGS.index(picked["recommended"]), scores.mean(1)
            chosen = [pick, ENCODINGS.index("learned"), ENCODINGS.index("rope")]
            regrets[kind].append(np.stack([means.max() - means[chosen], beside_others(scores, chosen)]))
            lucky, fair = map(listed, regrets[kind][-1])
            print(f"| {stem} | `{ENCODINGS[means.argmax()]}` {means.max():.1f} | `{ENCODINGS[pick]}` {means[pick]:.1f} "
                  f"| {lucky} | {fair} |", flush=True)  # fmt: skip
    for kind, found in regrets.items():
        if found:
            lucky, fair = map(listed, np.mean(found, axis=0))
            print(f"mean regret on {kind}: {lucky} points (picked, always learned, always rope); {fair}")


def beside_others(scores: NDArray[np.float64], chosen: list[int]) -> NDArray[np.float64]:
    """How far each chosen encoding is behind the one that is best on the other units, the mean over units."""
    gaps = [
        scores[np.delete(scores, unit, axis=1).mean(1).argmax(), unit] - scores[chosen, unit]
        for unit in range(scores.shape[1])
    ]
    return np.mean(gaps, axis=0)


def listed(values: NDArray[np.float64]) -> str:
    return ", ".join(f"{one:.2f}" for one in values)


def compared_on(
    name: str, kind: str, seed: int, arms: list[bench.Arm], folder: Path, told: argparse.Namespace,
    budget: float | None,
) -> tuple[Report, bench.Pool]:  # fmt: skip
    if kind == "tasks":
        rows, repeats = bench.Rows(task=name, seed=seed), UNITS
    else:
        rows, repeats = bench.Rows(read(name).sample(ROWS, seed=0), folds=UNITS, seed=seed), 1
    return compared(rows, arms, bench.Plan("learned", repeats, budget, workers=told.workers, seed=seed), folder)


if __name__ == "__main__":
    main()
