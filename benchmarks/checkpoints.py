"""What checkpoints cost: seconds in `Checkpoints.save` as a share of the seconds of training, at the default interval.

usage: python benchmarks/checkpoints.py FILE   labelled texts; each run is long enough for at least three checkpoints.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

from machine import machine

from scriptchain import config
from scriptchain.data.records import read
from scriptchain.run import train
from scriptchain.training.checkpoint import EVERY, Checkpoints

SETTINGS = {
    "small": ["epochs=4", "patience=0"],
    "small, 6 layers of width 384": ["epochs=1", "patience=0", "d_model=384", "num_layers=6", "d_feedforward=1536"],
}


def main() -> None:
    print(machine(), flush=True)
    rows = read(sys.argv[1])
    real = Checkpoints.save
    for name, settings in SETTINGS.items():
        for every in (None, 1.0):
            spent: list[float] = []
            sizes: list[int] = []

            def save(self, state, spent=spent, sizes=sizes) -> None:
                start = time.perf_counter()
                real(self, state)
                spent.append(time.perf_counter() - start)
                sizes.append(self._files()[0].stat().st_size)

            Checkpoints.save = save
            with tempfile.TemporaryDirectory() as folder:
                made = config.resolve("small", settings=settings)
                report = train(rows, made, Path(folder) / "run", device="cpu", threads=1, checkpoint_every=every)
            seconds, steps = report["training_seconds"], made.epochs * -(-report["rows"]["train"] // made.batch_size)
            print(
                f"{name}, every {EVERY if every is None else every:.0f} s: {len(spent)} checkpoints of "
                f"{statistics.median(sizes) / 2**20:.1f} MiB, {1000 * statistics.median(spent):.0f} ms each (median); "
                f"{seconds:.0f} s of training, {1000 * seconds / steps:.1f} ms a step; "
                f"{100 * sum(spent) / seconds:.2f} % of it spent on saving",
                flush=True,
            )


if __name__ == "__main__":
    main()
