"""Encodings x tasks: what each reads of nine generated tasks, beside `learned` with paired intervals.

usage: python benchmarks/table.py --output DIR [--only TASK ...] [--draws 3] [--workers 2]
A column is one command, which is printed above it: a small encoder of three layers, ten epochs, the same draws for all
encodings; half of the scored texts of a formal task are longer than any that was learned from. Every run is kept in DIR
and done once.
"""

import argparse
from pathlib import Path
from typing import Any

from kept import compared
from machine import machine

from scriptchain import bench
from scriptchain.bench import single
from scriptchain.bench.told import points

ENCODINGS = ("learned", "none", "sinusoidal", "rope", "alibi", "t5_bias", "kerple", "transformer_xl")
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
    arms = bench.arms_of("small", ENCODINGS, settings=SETTINGS)
    plan = bench.Plan(ENCODINGS[0], told.draws, workers=told.workers)
    for task in told.only:
        report, _ = compared(bench.Rows(task=task), arms, plan, told.output / task)
        sets = " ".join(f"--set {one}" for one in SETTINGS)
        print(f"\nscriptchain compare task:{task} --positions {','.join(ENCODINGS)} --repeats {told.draws} {sets}\n")
        column(task, report.data["candidates"])


def column(task: str, candidates: list[dict[str, Any]]) -> None:
    print(f"| {task} | macro-F1 | beside `{ENCODINGS[0]}`, points | |\n|---|---|---|---|")
    for one in sorted(candidates, key=lambda one: -one["score"]):
        beside = "" if one["difference"] is None else points(one["difference"])
        print(f"| `{one['name']}` | {100 * one['score']:.1f} | {beside} | {one['verdict']} |", flush=True)


if __name__ == "__main__":
    main()
