"""What must stay fast, beside what others do in the same minute: ratios, kept, and compared with the kept ones.

usage: python benchmarks/bench.py [--rounds 9] [--keep]
Each round times both sides in turn, CPU seconds of one thread, no data needed; a figure is the median of the rounds'
ratios with a 95 % interval of the median, and above 1 we are the faster. It is slower than the kept one where the
intervals do not meet. All is written to runs/bench.json; with --keep the figures become the kept ones:
benchmarks/bench.json, bench.png and their table in benchmarks/README.md.
"""

import argparse
import json
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("agg")
import biases
import matplotlib.pyplot as plt
import numpy as np
import torch
from machine import machine
from startup import cpu_seconds
from study import Study

from scriptchain import Classifier, runtime
from scriptchain.data.records import read
from scriptchain.export.quantize import dynamic
from scriptchain.runtime.session import session_logits
from scriptchain.training.loop import Examples
from training import ours, study

HERE = Path(__file__).parent
KEPT, PICTURE, README = HERE / "bench.json", HERE / "bench.png", HERE / "README.md"
NEW = Path("runs/bench.json")
BEGIN, END = "<!-- bench.py: begin -->", "<!-- bench.py: end -->"
Sides = tuple[Callable[[], float], Callable[[], float]]  # ours and the other's, each the seconds that it took


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--keep", action="store_true")
    told = parser.parse_args()
    torch.set_num_threads(1)
    print(machine(), flush=True)
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, sides in measured(Path(folder)):
            ratios = in_turn(*sides, told.rounds)
            found[name] = of_median(ratios)
            print(f"{name:58} {spelled(found[name])}", flush=True)
    kept = json.loads(KEPT.read_text("utf-8"))["figures"] if KEPT.exists() else {}
    slower = [name for name, one in found.items() if name in kept and one["high"] < kept[name]["low"]]
    for name in slower:
        print(f"slower than kept: {name}: {spelled(found[name])}, was {spelled(kept[name])}")
    document = json.dumps({"machine": machine(), "figures": found, "slower": slower}, indent=1) + "\n"
    NEW.parent.mkdir(exist_ok=True)
    NEW.write_text(document, "utf-8")
    if told.keep:
        KEPT.write_text(document, "utf-8")
        picture(found)
        page = README.read_text("utf-8")
        before, rest = page.split(BEGIN)
        README.write_text(f"{before}{BEGIN}\n{table(found)}{END}{rest.split(END)[1]}", "utf-8")
    sys.exit(1 if slower and not told.keep else 0)


def measured(folder: Path) -> Iterator[tuple[str, Sides]]:
    """What is timed, and both sides of it."""
    for length, full in ((15, 0.85), (64, 0.3)):
        rng = np.random.default_rng(0)
        sizes = np.clip(rng.poisson(full * length, 256), 2, length)
        ids = [rng.integers(4, 2000, size) for size in sizes]
        labels = rng.integers(0, 4, len(ids))
        examples = Examples(ids, labels, np.ones(len(ids), np.float32))
        theirs = partial(study, ids, labels, 4, 2000, length, 32, "cpu")
        for what, keys in (("", {}), (", sorted by length", {"sort_by_length": True})):
            yield (
                f"training, {length} tokens, {full:.0%} full{what}, beside the study's",
                (partial(ours, examples, 4, 2000, length, "cpu", {"batch_size": 32, **keys}), theirs),
            )
    records = read("emotions")
    model = Classifier("seed", epochs=1, threads=1)
    model.fit(records.texts, records.labels)
    model.save_pretrained(folder / "run")
    ids, labels = list(rng.integers(4, 400, (100, 15))), rng.integers(0, 4, 100)
    job = Examples(ids, labels, np.ones(100, np.float32))

    def thirty() -> float:
        return sum(study(ids, labels, 4, 400, 15, 32, "cpu") for _ in range(30))

    yield "100 rows, 30 epochs, beside the study's", (partial(ours, job, 4, 400, 15, "cpu", {"epochs": 30}), thirty)
    floats = runtime.load(folder / "run", threads=1)
    eight_bits = session_logits(dynamic(floats.bundle.read("model.onnx")), floats.bundle.tokenizer, threads=1)
    eager = Study(2000).eval()
    padded = torch.randint(4, 2000, (512, eager.positions.shape[0]))
    texts = [records.texts[row % len(records)] for row in range(512)]

    def forward(rows: torch.Tensor) -> None:
        with torch.inference_mode():
            eager(rows)

    for what, answer in (("", floats.logits), (" in 8 bits", eight_bits)):
        yield (
            f"512 texts to scores{what}, words cut, beside an eager encoder alone",
            (timed(partial(answer, texts)), timed(partial(forward, padded))),
        )
        yield (
            f"one text to scores{what}, beside an eager encoder alone",
            (timed(partial(answer, texts[:1]), 20), timed(partial(forward, padded[:1]), 20)),
        )
    given, p = biases.inputs(2048), biases.full(2048)
    for what, run in (("forward", biases.forward), ("forward and backward", biases.both)):
        for other in ("plain", "gathered"):
            ways = (partial(run, biases.WAYS[one], given, p) for one in ("ours", other))
            beside = "attention without a bias" if other == "plain" else "a bias gathered whole"
            first, second = map(timed, ways)
            yield f"a learned bias at 2,048, {what}, beside {beside}", (first, second)
    command = [sys.executable, "-m", "scriptchain", "predict", str(folder / "run"), "a text", "--threads", "1"]
    yield (
        "`scriptchain predict` whole, beside `import torch`",
        (partial(cpu_seconds, command), partial(cpu_seconds, [sys.executable, "-c", "import torch"])),
    )


def timed(run: Callable[[], object], times: int = 1) -> Callable[[], float]:
    """CPU seconds of so many calls."""

    def seconds() -> float:
        start = time.process_time()
        for _ in range(times):
            run()
        return time.process_time() - start

    return seconds


def in_turn(first: Callable[[], float], second: Callable[[], float], rounds: int) -> list[float]:
    """How many times as long the second takes, a round; the round before warms the caches."""
    ratios = [1 / (first() / second()) for _ in range(rounds + 1)]
    return ratios[1:]


def of_median(ratios: list[float]) -> dict[str, Any]:
    """The median and an interval of it, of the ranks between which it is in 95 % of cases whatever the noise is."""
    rounds, ordered = len(ratios), sorted(ratios)
    outside = [2 * sum(math.comb(rounds, n) for n in range(rank + 1)) / 2**rounds for rank in range(rounds // 2)]
    rank = sum(one <= 0.05 for one in outside) - 1
    if rank < 0:
        raise SystemExit("--rounds must be at least 6 for an interval of 95 %")
    return {"value": statistics.median(ratios), "low": ordered[rank], "high": ordered[-1 - rank], "rounds": ratios}


def spelled(one: dict[str, Any]) -> str:
    return f"{one['value']:.2f} [{one['low']:.2f}, {one['high']:.2f}]"


def table(found: dict[str, Any]) -> str:
    rows = "".join(f"| {name} | {spelled(one)} |\n" for name, one in found.items())
    return f"\n{machine()}\n\n| | times as fast |\n|---|---|\n{rows}\n![the same as bars](bench.png)\n\n"


def picture(found: dict[str, Any]) -> None:
    values = np.array([[one["value"], one["value"] - one["low"], one["high"] - one["value"]] for one in found.values()])
    figure, axes = plt.subplots(figsize=(9, 0.45 * len(found) + 1), layout="constrained")
    names = [name.replace("`", "") for name in found]
    axes.barh(names, values[:, 0] - 1, left=1, xerr=values[:, 1:].T, color="#4a7ab5", ecolor="#222222", capsize=3)
    axes.axvline(1, color="#222222", linewidth=1)
    axes.set(xlabel="times as fast as the other, logarithmic", xscale="log")
    ticks = [tick for tick in (0.25, 0.5, 1, 2, 3, 5, 10) if values[:, 0].min() / 2 < tick < 2 * values[:, 0].max()]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.invert_yaxis()
    figure.savefig(PICTURE, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
