"""The true accuracy of the `seed` recipe on the bundled set: 5-fold grouped cross-validation x 5 seeds.

Every sentence is scored once a seed, by a model that never saw it. The interval is a bootstrap over the 100 sentences
of their mean over seeds: sentences are what would differ in another sample.
"""

import time

import numpy as np
from machine import machine

from scriptchain import Classifier
from scriptchain.data.records import read
from scriptchain.data.splits import folds
from scriptchain.scoring.intervals import mean_interval

FOLDS, SEEDS = 5, 5


def main() -> None:
    print(machine())
    records = read("emotions")
    texts, labels = np.array(records.texts), np.array(records.labels)
    right = np.zeros((SEEDS, len(texts)))
    start = time.process_time()
    for seed in range(SEEDS):
        for train, test in folds(records.texts, records.labels, FOLDS, seed=seed):
            model = Classifier("seed", seed=seed, device="cpu", threads=1)
            model.fit(texts[train].tolist(), labels[train].tolist())
            right[seed, test] = model.predict(texts[test].tolist()) == labels[test]
        print(f"seed {seed}: {100 * right[seed].mean():.1f} %", flush=True)
    cpu = time.process_time() - start
    draws = np.random.default_rng(0).integers(len(texts), size=(10_000, len(texts)))
    low, high = np.quantile(right.mean(0)[draws].mean(1), [0.025, 0.975])
    spread = mean_interval(right.mean(1).tolist())
    print(
        f"accuracy {100 * right.mean():.1f} % [{100 * low:.1f}, {100 * high:.1f}] over sentences; "
        f"sd over seeds {100 * spread['sd']:.1f}; chance 25 %; {cpu / FOLDS / SEEDS:.1f} CPU s a training"
    )


if __name__ == "__main__":
    main()
