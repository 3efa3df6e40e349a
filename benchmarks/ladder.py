"""What `--preset auto` would ship, and what that costs against the best rung: a climb, then each rung on the test file.

usage: python benchmarks/ladder.py FOLDER [--budget SECONDS] [--seed N] SET ...
FOLDER holds SET/train.csv, validation.csv, test.csv (text,label). The climb never sees the test file; the models of its
rungs, one a fold, score it once. A difference is paired on the test rows, and is the mean over the folds.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from machine import machine
from numpy.typing import NDArray

from scriptchain import Classifier, ladder
from scriptchain.data.labels import Labels
from scriptchain.data.records import read
from scriptchain.ladder.kept import Kept
from scriptchain.report import percent, with_interval
from scriptchain.run import make_splits
from scriptchain.scoring.intervals import paired_difference
from scriptchain.scoring.metrics import accuracy, confusion, macro_f1


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("sets", nargs="+")
    parser.add_argument("--budget", type=float)
    parser.add_argument("--seed", type=int, default=0)
    told = parser.parse_args()
    print(machine(), flush=True)
    for name in told.sets:
        climb(told.folder / name, told.budget, told.seed)


def climb(folder: Path, budget: float | None, seed: int) -> None:
    files = [read(folder / f"{part}.csv") for part in ("train", "validation", "test")]
    splits = make_splits(*files, seed=seed)
    labels = Labels.from_names(splits.train.labels or [])
    truth = labels.index(splits.test.labels or [])
    answers: dict[str, list[NDArray[np.int64]]] = {}

    def watch(rung: str, model: Classifier) -> None:
        answers.setdefault(rung, []).append(model.logits(splits.test.texts).argmax(1))

    def lead(one: str, other: str) -> dict[str, float]:
        """By how much the first scores higher on the test rows."""
        pairs = zip(answers[one], answers[other], strict=True)
        found = [paired_difference(truth, *pair, len(labels), metric="macro_f1") for pair in pairs]
        return {key: float(np.mean([each[key] for each in found])) for key in ("value", "low", "high")}

    start = time.process_time()
    with tempfile.TemporaryDirectory() as place:
        climbed, chosen = ladder.climb(
            splits, ladder.Limits(seconds=budget), Kept(Path(place), folder.name), seed=seed, device="cpu", threads=1,
            stream=sys.stderr, watch=watch,
        )  # fmt: skip
    spent = time.process_time() - start
    cells = {rung: [confusion(truth, one, len(labels)) for one in found] for rung, found in answers.items()}
    scores = {rung: float(np.mean([macro_f1(one) for one in found])) for rung, found in cells.items()}
    right = {rung: float(np.mean([accuracy(one) for one in found])) for rung, found in cells.items()}
    by_climb = {rung["name"]: rung for rung in climbed.data["rungs"]}
    for rung, score in scores.items():
        one = by_climb[rung]
        print(f"{folder.name} {rung}: test macro-F1 {percent(score)}, accuracy {percent(right[rung])}; "
              f"macro-F1 in the climb {with_interval(one['macro_f1'])}, "
              f"{one['bytes'] / 1e6:.1f} MB, {one['training_seconds']:.0f} s a training, {one['verdict']}")  # fmt: skip
    for rung, why in climbed.data["left_out"].items():
        print(f"{folder.name} {rung} is left out: {why}")
    best = max(scores, key=lambda rung: scores[rung])
    print(f"{folder.name}: {climbed.data['verdict']}, {chosen} ships; gain over linear "
          f"{with_interval(lead(chosen, 'linear'))}, regret against {best} {with_interval(lead(best, chosen))}; "
          f"{spent:.0f} CPU s", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
