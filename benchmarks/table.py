"""Encodings x tasks: what each reads of nine generated tasks, beside `learned` with paired intervals.

usage: python benchmarks/table.py --output DIR [--only TASK ...] [--draws 3] [--workers 2]
A column is one command, which is printed above it (and `t5_bias` at ten times the rate): a small encoder of three
layers, ten epochs, the same draws for all; half of the scored texts of a formal task are longer than any that was
learned from. Every run is kept in DIR and done once. Where there are several columns, all of them stand side by side at
the end, and in DIR/table.png.
"""

import argparse
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
from kept import compared
from machine import machine

from scriptchain import bench, config
from scriptchain.bench import single
from scriptchain.bench.told import points
from scriptchain.style import style

ENCODINGS = ("learned", "none", "sinusoidal", "rope", "alibi", "t5_bias", "kerple", "transformer_xl")
RATED = "t5_bias, positions_rate 10"  # a table of logits from 0, which hardly leaves it at the others' rate
NAMES = (*ENCODINGS, RATED)
MARKS = {"better": " +", "worse": " -"}
TASKS = ("even_pairs", "missing_duplicate", "indexing", "roles", "cycle_navigation", "flip_flop", "counting",
         "modular_arithmetic", "parity")  # fmt: skip
SETTINGS = ["d_model=64", "num_heads=8", "num_layers=3", "d_feedforward=256", "epochs=10", "patience=0",
            "token_dropout=0"]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--only", nargs="+", choices=TASKS, default=TASKS)
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    told = parser.parse_args()
    print(machine(), flush=True)
    single.one_thread()
    rated = config.resolve("small", settings=[*SETTINGS, "positions=t5_bias", "positions_rate=10"])
    arms = [*bench.arms_of("small", ENCODINGS, settings=SETTINGS), bench.Arm(RATED, rated)]
    plan = bench.Plan(ENCODINGS[0], told.draws, workers=told.workers)
    found: dict[str, dict[str, Any]] = {}
    for task in told.only:
        report, _ = compared(bench.Rows(task=task), arms, plan, told.output / task)
        sets = " ".join(f"--set {one}" for one in SETTINGS)
        print(f"\nscriptchain compare task:{task} --positions {','.join(ENCODINGS)} --repeats {told.draws} {sets}\n")
        column(task, report.data["candidates"])
        found[task] = {one["name"]: one for one in report.data["candidates"]}
    if len(found) > 1:
        side_by_side(found)
        picture(found, told.output / "table.png")


def column(task: str, candidates: list[dict[str, Any]]) -> None:
    print(f"| {task} | macro-F1 | beside `{ENCODINGS[0]}`, points | |\n|---|---|---|---|")
    for one in sorted(candidates, key=lambda one: -one["score"]):
        beside = "" if one["difference"] is None else points(one["difference"])
        print(f"| `{one['name']}` | {100 * one['score']:.1f} | {beside} | {one['verdict']} |", flush=True)


def side_by_side(found: dict[str, dict[str, Any]]) -> None:
    print(f"\n| | {' | '.join(found)} |\n|---|{'---|' * len(found)}")
    for name in NAMES:
        print(f"| `{name}` | {' | '.join(cell(one[name]) for one in found.values())} |", flush=True)


def cell(one: dict[str, Any]) -> str:
    return f"{100 * one['score']:.1f}{MARKS.get(one['verdict'], '')}"


def picture(found: dict[str, dict[str, Any]], file: Path) -> None:
    scores = [[100 * one[name]["score"] for one in found.values()] for name in NAMES]
    with style():
        figure, axes = plt.subplots(figsize=(1.0 + 0.95 * len(found), 1.4 + 0.4 * len(NAMES)), layout="constrained")
        axes.imshow(scores, cmap="YlGnBu", vmin=0, vmax=160, aspect="auto")
        for row, name in enumerate(ENCODINGS):
            for at, one in enumerate(found.values()):
                axes.text(at, row, cell(one[name]), ha="center", va="center")
        axes.set_yticks(range(len(NAMES)), NAMES)
        axes.set_xticks(range(len(found)), [task.replace("_", "\n") for task in found])
        axes.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
        axes.spines[:].set_visible(False)
        axes.set_xlabel(f"macro-F1, %; + better and - worse than {ENCODINGS[0]}, by interval and margin")
        figure.savefig(file, dpi=150)
        plt.close(figure)


if __name__ == "__main__":
    main()
