"""What batches of other sizes and bf16 do to quality, and to the time: `small` beside itself, paired by fold.

usage: python benchmarks/batches.py TEXTS.csv --output DIR [--rows 4000] [--repeats 1] [--workers 1]
Four times the batch with the same number of epochs is a quarter of the steps: the rate is doubled (the square root, as
for Adam; arXiv 2205.10287) and the average forgets four times as fast. Every run is kept in DIR and done once.
"""

import argparse
from pathlib import Path

from kept import compared
from machine import machine

from scriptchain import bench, config
from scriptchain.bench import single
from scriptchain.data.ragged import lengths
from scriptchain.data.records import Records, read
from scriptchain.training.start import Scratch

BY_TOKENS = "as many tokens as 32 rows have"
LARGER = ["batch_size=128", "learning_rate=2e-3", "weight_average=0.98"]
ARMS = {
    "batch 32": [],
    "batch 128": LARGER,
    "batch 128, bf16": [*LARGER, "precision=bf16"],
    "batch 128, bf16, the same rate": [*LARGER, "precision=bf16", "learning_rate=1e-3"],
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=4_000)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=[*ARMS, BY_TOKENS], help="beside the first")
    told = parser.parse_args()
    print(machine(), flush=True)
    single.one_thread()
    some = read(told.file).sample(told.rows, seed=0)
    rows = bench.Rows(some, folds=5)
    ways = ARMS | {BY_TOKENS: [f"batch_tokens={32 * tokens_a_row(some)}"]}
    first, *others = [bench.Arm(name, config.resolve("small", settings=keys)) for name, keys in ways.items()]
    arms = [first, *(arm for arm in others if told.only is None or arm.name in told.only)]
    plan = bench.Plan(first.name, told.repeats, workers=told.workers)
    report, _ = compared(rows, arms, plan, told.output)
    print(report.to_markdown())


def tokens_a_row(records: Records) -> int:
    ids = Scratch(config.resolve("small")).tokenizer(records.texts).encode(records.texts).ids
    return round(lengths(ids).mean())


if __name__ == "__main__":
    main()
