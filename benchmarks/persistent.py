"""`persistent`, a design of ours, beside what it would replace and without each of its parts: a registered experiment.

usage: python benchmarks/persistent.py TEXTS.csv --output DIR [--layers 3] [--only NAME] [--rate 10] [--workers 2]
What is asked, of what, how often and what counts as an answer was written down first: docs/log.md, 2026-11-28, and of
four arms whose encodings learn at a rate of their own 2026-11-29.
Every run is kept in DIR and done once; each table is printed as it is done.
"""

import argparse
from pathlib import Path

from kept import compared
from machine import machine

from scriptchain import bench, config
from scriptchain.bench import single
from scriptchain.data.records import read

FULL = "persistent, again, by distance"
ARMS = {  # positions, and whether they come again before each later layer
    FULL: ("persistent+cpb", True),
    "without coming again": ("persistent+cpb", False),
    "without distance": ("persistent", True),
    "waves in place of the function": ("sinusoidal+cpb", True),
    "a function a layer, whole (FLOATER)": ("persistent/persistent", False),
    "learned, again (LaPE)": ("learned", True),
    "learned": ("learned", False),
    "rope": ("rope", False),
    "t5_bias": ("t5_bias", False),
}
SETTINGS = ["d_model=64", "num_heads=8", "d_feedforward=256", "dropout=0.1", "token_dropout=0", "token_ngrams=0",
            "label_smoothing=0", "batch_size=64", "epochs=10", "patience=0"]  # fmt: skip
RATED = (FULL, "learned", "rope", "t5_bias")
TASKS, UNITS = ("indexing", "even_pairs"), 5


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("file", help="texts whose hidden words are learned, without looking at their labels")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", choices=[*TASKS, "hidden"])
    parser.add_argument("--rate", type=float, help="of the encodings, in terms of the others'")
    told = parser.parse_args()
    print(machine(), flush=True)
    single.one_thread()
    of_texts = bench.Rows(read(told.file), folds=UNITS, by="hidden")
    for name, rows in ({task: bench.Rows(task=task) for task in TASKS} | {"hidden": of_texts}).items():
        if told.only in (None, name):
            repeats = 1 if name == "hidden" else UNITS
            plan = bench.Plan(FULL, repeats, margin=0.01, workers=told.workers, device=told.device)
            report, _ = compared(rows, arms(told.layers, told.rate), plan, told.output / f"{name}-{told.layers}")
            print(f"\n{name}, {told.layers} layers\n{report.to_markdown()}", flush=True)


def arms(layers: int, rate: float | None) -> list[bench.Arm]:
    own = [] if rate is None else [f"positions_rate={rate}"]
    return [
        bench.Arm(name, config.resolve("small", settings=[
            *SETTINGS, f"num_layers={layers}", f"positions={positions}", f"positions_reinjected={str(again).lower()}",
            *own,
        ]))
        for name, (positions, again) in ARMS.items() if rate is None or name in RATED
    ]  # fmt: skip


if __name__ == "__main__":
    main()
