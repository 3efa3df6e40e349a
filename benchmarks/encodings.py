"""Every encoding in the `small` preset: macro-F1 on held-out rows, time of a training step, learned numbers.

usage: python benchmarks/encodings.py FILE.csv [NAME ...]   FILE.csv has at least 5,000 rows of text,label
4,000 rows train for 5 epochs and 1,000 are held out and scored once. Steps are timed in turns, encoding after encoding,
on one batch of 32 x 64 tokens; the figure is the median of each against the median of `learned`.
"""

import statistics
import sys
import time

import torch
from machine import machine

from scriptchain import Classifier, config
from scriptchain.data.records import read
from scriptchain.data.splits import split
from scriptchain.model.pipeline import Network
from scriptchain.positions import load, names

ROWS, EPOCHS, ROUNDS = 4_000, 5, 15
# A policy moves coordinates and adds nothing itself: it is measured with waves, which read them.
NAMES = [f"{name}+sinusoidal" if load(name).acts == "moves coordinates" else name for name in names()]


def step_seconds() -> dict[str, float]:
    """Median CPU seconds of forward and backward of the whole network, by encoding."""
    ids, mask = torch.randint(4, 8_000, (32, 64)), torch.ones(32, 64, dtype=torch.bool)
    networks = {name: Network(config.resolve("small", overrides={"positions": name}), 8_000, 6) for name in NAMES}
    taken: dict[str, list[float]] = {name: [] for name in networks}
    for round_number in range(ROUNDS + 2):
        for name, network in networks.items():
            start = time.process_time()
            network(ids, mask).sum().backward()
            if round_number >= 2:  # the first two warm the caches
                taken[name].append(time.process_time() - start)
    return {name: statistics.median(seconds) for name, seconds in taken.items()}


def main() -> None:
    print(machine(), flush=True)
    file, *chosen = sys.argv[1:]
    torch.set_num_threads(1)
    seconds = step_seconds()
    records = read(file)
    assert records.labels is not None
    share = ROWS / len(records)
    train, held_out, _ = split(records.texts, records.labels, fractions=(share, share / 4, 1 - 1.25 * share), seed=0)
    rows, others = records.subset(train), records.subset(held_out)
    for name in chosen or NAMES:
        model = Classifier("small", positions=name, epochs=EPOCHS, patience=0, device="cpu", threads=1)
        model.fit(rows.texts, rows.labels)
        f1 = model.evaluate(others.texts, others.labels)["metrics"]["macro_f1"]
        learned = sum(value.numel() for value in model.network_.encoder.encodings.parameters())
        print(
            f"{name:22} macro-F1 {100 * f1['value']:.1f} [{100 * f1['low']:.1f}, {100 * f1['high']:.1f}], step "
            f"{seconds[name] / seconds['learned']:.2f} of learned, {learned:,} learned numbers",
            flush=True,
        )


if __name__ == "__main__":
    main()
