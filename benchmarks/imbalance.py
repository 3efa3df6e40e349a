"""Classes that are rare in training and not in the test: does weighing them help, and what does it cost?

usage: python benchmarks/imbalance.py FOLDER [--presets small] [--rare 20] [--seeds 3] [SET ...]
FOLDER holds SET/train.csv, validation.csv, test.csv (text,label). Training and validation rows are thinned until the
smallest class has one row for --rare of the largest, those between by equal steps of a ratio; the test file stays.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from machine import machine

from scriptchain import Classifier
from scriptchain.data.labels import Labels
from scriptchain.data.records import Records, read
from scriptchain.run import make_splits
from scriptchain.scoring.intervals import mean_interval
from scriptchain.scoring.metrics import accuracy, confusion, macro_f1, per_class


def thinned(rows: Records, labels: Labels, largest_first: np.ndarray, rare: float) -> Records:
    """The first rows of each class, the k-th of K classes at most rare ** (-k / (K - 1)) of the largest."""
    numbers = labels.index(rows.labels or [])
    most = int((numbers == largest_first[0]).sum())
    kept = []
    for place, one in enumerate(largest_first.tolist()):
        count = max(2, round(most * rare ** (-place / (len(largest_first) - 1))))
        kept.append(np.flatnonzero(numbers == one)[:count])
    return rows.subset(np.sort(np.concatenate(kept)))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("sets", nargs="*", default=["tweeteval_emotion", "sst2"])
    parser.add_argument("--presets", default="small")
    parser.add_argument("--rare", type=float, default=20.0)
    parser.add_argument("--seeds", type=int, default=3)
    told = parser.parse_intermixed_args()
    print(machine(), flush=True)
    for name in told.sets:
        files = [read(told.folder / name / f"{part}.csv") for part in ("train", "validation", "test")]
        splits = make_splits(*files, seed=0)
        labels = Labels.from_names(splits.train.labels or [])
        truth = labels.index(splits.test.labels or [])
        order = np.argsort(-np.bincount(labels.index(splits.train.labels or [])), kind="stable")
        train, validation = (thinned(part, labels, order, told.rare) for part in (splits.train, splits.validation))
        counts = np.bincount(labels.index(train.labels or []))[order].tolist()
        print(f"{name}: {', '.join(f'{labels.names[one]} {n}' for one, n in zip(order, counts, strict=True))}")
        for preset in told.presets.split(","):
            found: dict[str, list[tuple[float, float, float]]] = {"none": [], "balanced": []}
            for seed in range(told.seeds):
                for weights, scores in found.items():
                    start = time.process_time()
                    given = {} if weights == "none" else {"class_weights": weights}
                    model = Classifier(preset, device="cpu", threads=1, seed=seed, **given)
                    model.fit_records(train, validation=validation)
                    spent = time.process_time() - start
                    cells = confusion(truth, model.logits(splits.test.texts).argmax(1), len(labels))
                    rarest = float(per_class(cells).recall[order[-1]])
                    scores.append((float(macro_f1(cells)), float(accuracy(cells)), rarest))
                    print(f"{name} {preset} seed {seed}, weights {weights}: macro-F1 {100 * scores[-1][0]:.1f}, "
                          f"accuracy {100 * scores[-1][1]:.1f}, recall of the rarest {100 * rarest:.1f}, "
                          f"{spent:.0f} CPU s", flush=True)  # fmt: skip
            gains = np.array(found["balanced"]) - np.array(found["none"])
            for column, metric in enumerate(("macro-F1", "accuracy", "recall of the rarest")):
                one = mean_interval(gains[:, column].tolist())
                print(f"{name} {preset}: balanced weights bring {metric} {100 * one['value']:+.1f} "
                      f"[{100 * one['low']:+.1f}, {100 * one['high']:+.1f}]", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
