"""Training by two processes beside one: tokens a second of wall time, and what a step costs more.

usage: python benchmarks/together.py TEXTS.csv [--rows 8000] [--rounds 5] [--batch-size 64] [--preset small]
In turn: one process with twice the batch, two processes with the batch each, and one process with the batch, which
takes the same steps as each of the two. One thread each; medians. Both cores should be free.
"""

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from machine import machine

from scriptchain.data.records import read


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    parser.add_argument("--rows", type=int, default=8000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--preset", default="small")
    told = parser.parse_args()
    print(machine(), flush=True)
    arms = {"one, twice the batch": (1, 2), "two": (2, 1), "one": (1, 1)}
    found: dict[str, list[float]] = {name: [] for name in arms}
    with tempfile.TemporaryDirectory() as folder:
        data = taken(told.file, told.rows, Path(folder))
        for number in range(told.rounds):
            for name, (processes, times) in arms.items():
                output = Path(folder) / f"{name} {number}"
                found[name].append(seconds_a_step(data, output, told, processes, times * told.batch_size))
    steps = {name: statistics.median(seconds) for name, seconds in found.items()}
    rows = {name: processes * times * told.batch_size for name, (processes, times) in arms.items()}
    for name, seconds in steps.items():
        print(f"{name}: {1000 * seconds:.1f} ms a step, {rows[name] / seconds:,.0f} texts/s")
    ratio = statistics.median(one / two for one, two in zip(found["one, twice the batch"], found["two"], strict=True))
    more = 1000 * (steps["two"] - steps["one"])
    print(f"two processes do {ratio:.2f} times what one does; a step costs {more:.1f} ms more")


def taken(file: str, rows: int, folder: Path) -> Path:
    """A file of some of the rows."""
    records = read(file)
    some = records.subset(np.random.default_rng(0).permutation(len(records))[:rows])
    place = folder / "some.csv"
    with place.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(["text", "label"])
        writer.writerows(zip(some.texts, some.labels or [], strict=True))
    return place


def seconds_a_step(data: Path, output: Path, told: argparse.Namespace, processes: int, size: int) -> float:
    """Of wall time, with the validation of an eighth as many rows."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    command = [sys.executable, *(launcher if processes > 1 else []), "-m", "scriptchain", "train", str(data),
               "--preset", told.preset, "--threads", "1", "--device", "cpu", "--quiet", "--output", str(output),
               "--set", "epochs=2", "--set", "patience=0", "--set", f"batch_size={size}"]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    report = json.loads((output / "report.json").read_text("utf-8"))
    steps = json.loads((output / "history.jsonl").read_text("utf-8").splitlines()[-1])["step"]
    return report["training_seconds"] / steps


if __name__ == "__main__":
    main()
