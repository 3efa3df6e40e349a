"""The true accuracy of recipes on the bundled set: 5-fold grouped cross-validation x 5 seeds.

usage: python benchmarks/folds.py [--presets small,linear,static,frozen,few,tuned] [--seeds 5] [FILE]
Every sentence is scored once a seed, by a model that never saw it, on the same folds for all. Intervals are a bootstrap
over the sentences of their mean over seeds: sentences are what would differ in another sample. The gains are over the
first preset.
"""

import argparse
import time

import numpy as np
from machine import machine

from scriptchain import Classifier
from scriptchain.data.records import read
from scriptchain.data.splits import folds
from scriptchain.scoring.intervals import mean_interval

FOLDS = 5


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("file", nargs="?", default="emotions")
    parser.add_argument("--presets", default="seed")
    parser.add_argument("--seeds", type=int, default=5)
    told = parser.parse_args()
    print(machine(), flush=True)
    records = read(told.file)
    texts, labels = np.array(records.texts), np.array(records.labels)
    draws = np.random.default_rng(0).integers(len(texts), size=(10_000, len(texts)))

    def stated(of_text: np.ndarray) -> str:
        low, high = np.quantile(of_text[draws].mean(1), [0.025, 0.975])
        return f"{100 * of_text.mean():.1f} [{100 * low:.1f}, {100 * high:.1f}]"

    right: dict[str, np.ndarray] = {}
    for preset in told.presets.split(","):
        right[preset] = np.zeros((told.seeds, len(texts)))
        start = time.process_time()
        for seed in range(told.seeds):
            for train, test in folds(records.texts, records.labels or [], FOLDS, seed=seed):
                model = Classifier(preset, seed=seed, device="cpu", threads=1)
                model.fit(texts[train].tolist(), labels[train].tolist())
                right[preset][seed, test] = model.predict(texts[test].tolist()) == labels[test]
        cpu = time.process_time() - start
        by_seed = right[preset].mean(1).tolist()
        print(
            f"{preset}: accuracy {stated(right[preset].mean(0))} over sentences; by seed "
            f"{', '.join(f'{100 * one:.1f}' for one in by_seed)}, sd {100 * mean_interval(by_seed)['sd']:.1f}; "
            f"{cpu / FOLDS / told.seeds:.1f} CPU s a training",
            flush=True,
        )
    first, *others = right
    for preset in others:
        print(f"{preset} over {first}: {stated((right[preset] - right[first]).mean(0))}", flush=True)


if __name__ == "__main__":
    main()
