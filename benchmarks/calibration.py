"""How sure a model is and how sure it may be: one seed a set, the test file scored with the temperature and without it.

usage: python benchmarks/calibration.py FOLDER [--presets small,static] [SET ...]
FOLDER holds SET/train.csv, validation.csv, test.csv (text,label).
The last column is the 95th percentile of the calibration error of a model that is right exactly as often as it says,
drawn 1,000 times from the same confidences: what is below it cannot be told from a perfect one.
"""

import argparse
from itertools import product
from pathlib import Path

import numpy as np
from machine import machine

from scriptchain import Classifier
from scriptchain.data.records import read
from scriptchain.run import make_splits
from scriptchain.runtime.session import softmax
from scriptchain.scoring.calibration import brier_score, expected_calibration_error, log_loss
from scriptchain.scoring.conformal import label_sets


def perfect(probabilities: np.ndarray) -> float:
    generator = np.random.default_rng(0)
    ends = probabilities.cumsum(1)
    errors = [
        expected_calibration_error(
            probabilities, (generator.random((len(ends), 1)) > ends).sum(1).clip(max=ends.shape[1] - 1)
        )
        for _ in range(1_000)
    ]
    return float(np.quantile(errors, 0.95))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("sets", nargs="*", default=["tweeteval_emotion", "trec6", "sst2"])
    parser.add_argument("--presets", default="small")
    told = parser.parse_intermixed_args()
    print(machine(), flush=True)
    for name, preset in product(told.sets, told.presets.split(",")):
        files = [read(told.folder / name / f"{part}.csv") for part in ("train", "validation", "test")]
        splits = make_splits(*files, seed=0)
        model = Classifier(preset, device="cpu", threads=1)
        outcome = model.fit_records(splits.train, validation=splits.validation)
        truth = [list(model.classes_).index(label) for label in splits.test.labels or []]
        logits = model.logits(splits.test.texts)
        print(f"{name} {preset}: temperature {outcome.temperature:.2f}", flush=True)
        for which, scale in (("with it", 1.0), ("without", outcome.temperature)):
            probabilities = softmax(logits * np.float32(scale))
            print(
                f"  {which}: calibration error {100 * expected_calibration_error(probabilities, truth):.1f}, log loss "
                f"{log_loss(probabilities, truth):.3f}, Brier score {brier_score(probabilities, truth):.3f}; a perfect "
                f"model stays under {100 * perfect(probabilities):.1f}",
                flush=True,
            )
        sets = label_sets(softmax(logits), truth)
        assert sets is not None
        print(
            f"  label sets for 90 %: {100 * sets['measured']:.1f} % covered, {100 * sets['band'][0]:.1f} to "
            f"{100 * sets['band'][1]:.1f} expected, {sets['mean_size']:.2f} labels a text",
            flush=True,
        )


if __name__ == "__main__":
    main()
