"""A million rows: rows a second, memory, and the same bytes after random kills.

usage: python benchmarks/bulk.py MODEL TEXTS.csv [--rows 1000000] [--kills 10] [--processes 2] [--seed 0]
The texts are repeated with a number behind them until there are enough. First an unbroken run, and its memory (that of
all its processes together) over its course; then the same job, killed with all its processes at random times and gone
on with.
"""

import argparse
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machine import machine

from scriptchain.data.records import read


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("file")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    told = parser.parse_args()
    print(machine(), flush=True)
    texts = read(told.file, labels_required=False).texts
    with tempfile.TemporaryDirectory() as place:
        source, whole, broken = (Path(place) / name for name in ("rows.txt", "whole.jsonl", "broken.jsonl"))
        with source.open("w", encoding="utf-8") as file:
            for number in range(told.rows):
                file.write(f"{' '.join(texts[number % len(texts)].split())} {number}\n")
        command = [sys.executable, "-m", "scriptchain", "predict", told.model, "--file", str(source),
                   "--processes", str(told.processes), "--output"]  # fmt: skip
        start, before = time.monotonic(), os.times()
        process = subprocess.Popen([*command, str(whole)], start_new_session=True)
        memory: list[float] = []
        while process.poll() is None:
            memory.append(resident(process.pid))
            time.sleep(1)
        wall, after = time.monotonic() - start, os.times()
        spent = after.children_user + after.children_system - before.children_user - before.children_system
        marks = [memory[int(share * (len(memory) - 2))] for share in (0.1, 0.5, 1)]
        print(
            f"{told.rows:,} rows, {source.stat().st_size / 1e6:.0f} MB, {told.processes} processes: {wall:.0f} s, "
            f"{told.rows / wall:,.0f} rows/s, {told.rows / spent:,.0f} rows a CPU s; memory at 10, 50 and 100 %: "
            + ", ".join(f"{mark:.0f}" for mark in marks)
            + f" MB, at most {max(memory):.0f}",
            flush=True,
        )
        rng, struck = random.Random(told.seed), 0
        for _ in range(told.kills):
            process = subprocess.Popen([*command, str(broken), "--resume"], start_new_session=True)
            time.sleep(rng.uniform(0, 1.6 * wall / (told.kills + 1)))
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                struck += 1
            if process.wait() == 0:
                break
        if not broken.exists():
            subprocess.run([*command, str(broken), "--resume"], check=True)
        same = digest(whole) == digest(broken)
        told_of = "the same bytes" if same else "OTHER BYTES"
        print(f"killed {struck} times: {told_of} ({digest(whole)[:16]})", flush=True)


def resident(session: int) -> float:
    """Memory in MB of all processes of a session, what they share counted once each (Pss)."""
    total = 0
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if int((path / "stat").read_text().rsplit(")", 1)[1].split()[3]) == session:
                lines = (path / "smaps_rollup").read_text().splitlines()
                total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        except (OSError, StopIteration):
            continue
    return total / 1000


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    main()
