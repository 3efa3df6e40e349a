"""Few labels: so many texts a class, drawn anew each time, and the whole test set scored.

usage: python benchmarks/few.py FOLDER [--presets frozen,few] [--a-class 8,16,64] [--draws 10] [SET ...]
FOLDER holds SET/train.csv and test.csv (text,label). Nothing is held out of the few; differences are paired by draw.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from machine import machine

from scriptchain import Classifier
from scriptchain.data.labels import Labels
from scriptchain.data.records import read
from scriptchain.run import make_splits
from scriptchain.scoring.intervals import mean_interval
from scriptchain.scoring.metrics import confusion, macro_f1


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("sets", nargs="*", default=["tweeteval_emotion"])
    parser.add_argument("--presets", default="linear,frozen,few")
    parser.add_argument("--a-class", default="8,64")
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--first-draw", type=int, default=0)
    told = parser.parse_args()
    print(machine(), flush=True)
    for name in told.sets:
        files = [read(told.folder / name / f"{part}.csv") for part in ("train", "validation", "test")]
        splits = make_splits(*files, seed=0)
        rows, scored = splits.train, splits.test
        labels = Labels.from_names(rows.labels or [])
        classes, truth = labels.index(rows.labels or []), labels.index(scored.labels or [])
        for count in map(int, told.a_class.split(",")):
            scores: dict[str, list[float]] = {}
            for draw in range(told.first_draw, told.first_draw + told.draws):
                rng = np.random.default_rng([draw, count])
                few = [rng.choice(np.flatnonzero(classes == one), count, replace=False) for one in range(len(labels))]
                drawn = rows.subset(np.concatenate(few))
                for preset in told.presets.split(","):
                    start = time.process_time()
                    model = Classifier(preset, device="cpu", threads=1, seed=draw)
                    model.fit_records(drawn)
                    spent = time.process_time() - start
                    cells = confusion(truth, model.logits(scored.texts).argmax(1), len(labels))
                    scores.setdefault(preset, []).append(float(macro_f1(cells)))
                    print(f"{name} {count} a class, draw {draw}, {preset}: macro-F1 {100 * scores[preset][-1]:.1f}, "
                          f"fitted in {spent:.0f} CPU s", flush=True)  # fmt: skip
            for preset, found in scores.items():
                if len(found) > 1:
                    one = mean_interval(found)
                    print(f"{name} {count} a class, {preset}: {100 * one['value']:.1f} "
                          f"[{100 * one['low']:.1f}, {100 * one['high']:.1f}]", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
