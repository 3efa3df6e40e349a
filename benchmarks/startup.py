"""CPU seconds of whole processes, interleaved, medians: `predict` and `--help` beside `python -c "import torch"`."""

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from machine import machine

ROUNDS = 9


def cpu_seconds(arguments: list[str]) -> float:
    before = os.times()
    subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def main() -> None:
    print(machine())
    scriptchain = [sys.executable, "-m", "scriptchain"]
    with tempfile.TemporaryDirectory() as folder:
        model = str(Path(folder) / "run")
        subprocess.run(
            [*scriptchain, "train", "emotions", "--quiet", "--threads", "1", "--output", model],
            check=True,
            capture_output=True,
        )
        commands = {
            'python -c "import torch"': [sys.executable, "-c", "import torch"],
            "scriptchain predict DIR TEXT": [*scriptchain, "predict", model, "a text", "--threads", "1"],
            "scriptchain --help": [*scriptchain, "--help"],
            "python -c pass": [sys.executable, "-c", "pass"],
        }
        times: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(ROUNDS):
            for name, arguments in commands.items():
                times[name].append(cpu_seconds(arguments))
    torch = statistics.median(times['python -c "import torch"'])
    for name, values in times.items():
        median = statistics.median(values)
        print(f"{name:32} {median:.3f} CPU s (median of {ROUNDS}), {torch / median:.1f}x less than importing torch")


if __name__ == "__main__":
    main()
