"""How the cost of training grows with rows, length and depth, fitted as y = a + b x^e with a 95 % interval of e.

usage: python benchmarks/cost.py [--rounds 3]
`small` on made-up token ids, all of one length, a process a point: CPU seconds of one thread, and how far the memory of
the process rises in training; beside them the operations that are counted without running. No data needed.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import time

import numpy as np
import torch
from machine import machine

from scriptchain import config
from scriptchain.lab.cost import cost
from scriptchain.lab.laws import exponent
from scriptchain.model.pipeline import Network
from scriptchain.training.loop import Examples, fit
from scriptchain.training.seed import seeded

TOKENS, CLASSES, VOCABULARY = 32, 4, 2_000
FLAT = 1.2  # times as much at most, over a dial that turns sixteen times as far
DIALS = {  # rows, tokens of each, layers
    "rows": [(rows, TOKENS, 3) for rows in (256, 512, 1024, 2048, 4096)],
    "length": [(256, tokens, 3) for tokens in (32, 64, 128, 256, 512)],
    "depth": [(256, TOKENS, layers) for layers in (2, 4, 8, 16, 32)],
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", help="ROWS,TOKENS,LAYERS: one epoch, and print its seconds and MiB")
    told = parser.parse_args()
    if told.one:
        print(*one(*map(int, told.one.split(","))))
        return
    print(machine(), flush=True)
    print("| | CPU s | e | MiB | e | e of counted operations |\n|---|---|---|---|---|---|")
    for number, (dial, points) in enumerate(DIALS.items()):
        x = [point[number] for point in points]
        rounds = [[measured(point) for point in points] for _ in range(told.rounds)]
        seconds, space = (
            [statistics.median(each[at][what] for each in rounds) for at in range(len(x))] for what in (0, 1)
        )
        counted = [operations(*point) for point in points]
        told_of = " | ".join(f"{', '.join(f'{one:.3g}' for one in y)} | {law(x, y)}" for y in (seconds, space))
        print(f"| {dial} {', '.join(map(str, x))} | {told_of} | {law(x, counted)} |", flush=True)


def measured(point: tuple[int, int, int]) -> tuple[float, float]:
    """In a process of its own, so that no point finds memory that another one left."""
    command = [sys.executable, __file__, "--one", ",".join(map(str, point))]
    seconds, space = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return float(seconds), float(space)


def one(rows: int, tokens: int, layers: int) -> tuple[float, float]:
    torch.set_num_threads(1)
    made = config.resolve("small", overrides={"max_seq_len": tokens, "num_layers": layers, "epochs": 1, "patience": 0})
    rng = np.random.default_rng(0)
    ids = list(rng.integers(4, VOCABULARY, (rows, tokens)))
    examples = Examples(ids, rng.integers(0, CLASSES, rows), np.ones(rows, np.float32))
    with seeded(0):
        network = Network(made, VOCABULARY, CLASSES)
        before, start = peak(), time.process_time()
        fit(network, examples, made, device="cpu")
        return time.process_time() - start, peak() - before


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def operations(rows: int, tokens: int, layers: int) -> float:
    return rows * cost(config.resolve("small"), num_layers=layers, length=tokens).flops


def law(x: list[int], y: list[float]) -> str:
    if max(y) < FLAT * min(y):
        return "flat"
    value, low, high = exponent(x, y)
    return f"{value:.2f} [{low:.2f}, {high:.2f}]"


if __name__ == "__main__":
    main()
