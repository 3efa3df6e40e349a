"""What familiarity tells: how many test texts of a set it calls rare, and how many of other sets.

usage: python benchmarks/familiarity.py FOLDER [--preset linear] [SET ...]
FOLDER holds SET/train.csv, validation.csv, test.csv (text,label). 5 % of the set's own test should be rare; of another
set's more. The area is that under the curve of the two kinds of texts told apart: 50 % is chance.
"""

import argparse
from pathlib import Path

import numpy as np
from machine import machine
from scipy.stats import mannwhitneyu

from scriptchain import Classifier
from scriptchain.data.records import read
from scriptchain.run import make_splits

SHOWN = 500  # texts of each other set


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("sets", nargs="*", default=["tweeteval_emotion", "trec6", "sst2", "ag_news_10k"])
    parser.add_argument("--preset", default="linear")
    told = parser.parse_args()
    print(machine(), flush=True)
    areas = []
    for name in told.sets:
        files = [read(told.folder / name / f"{part}.csv") for part in ("train", "validation", "test")]
        splits = make_splits(*files, seed=0)
        model = Classifier(told.preset, device="cpu", threads=1, seed=0)
        model.fit_records(splits.train, validation=splits.validation)
        own = model.familiarity(splits.test.texts)
        print(f"{name} {told.preset}: {100 * (own <= 0.05).mean():.1f} % of its {len(own):,} test texts are rare")
        others = {other: read(told.folder / other / "test.csv").texts[:SHOWN] for other in told.sets if other != name}
        letters = np.random.default_rng(0)
        others["letters shuffled"] = ["".join(letters.permutation(list(text))) for text in splits.test.texts[:SHOWN]]
        for other, texts in others.items():
            found = model.familiarity(texts)
            area = float(mannwhitneyu(own, found).statistic / (len(own) * len(found)))
            areas += [] if other == "letters shuffled" else [area]
            print(f"  {other}: {100 * (found <= 0.05).mean():.1f} % rare, area {100 * area:.1f} %", flush=True)
    print(f"mean area between two sets: {100 * np.mean(areas):.1f} %")


if __name__ == "__main__":
    main()
