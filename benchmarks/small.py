"""The `small` preset on public sets: 3 seeds, validation chooses the epoch, the test file is scored once a seed.

usage: python benchmarks/small.py FOLDER [SET ...]   FOLDER holds SET/train.csv, validation.csv, test.csv (text,label).
The linear anchor, TF-IDF (1-2 grams) + LinearSVC with C by validation, is fitted on the same files in the same run.
"""

import sys
import time
from pathlib import Path

from machine import machine

from scriptchain import Classifier
from scriptchain.data.records import read
from scriptchain.run import make_splits
from scriptchain.scoring.intervals import mean_interval

SEEDS = 3


def linear_anchor(train, validation, test) -> tuple[float, float]:
    """Accuracy and macro-F1 of TF-IDF + LinearSVC on the test rows."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.metrics import accuracy_score, f1_score
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import LinearSVC

    fitted = [
        make_pipeline(TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2)), LinearSVC(C=c)).fit(
            train.texts, train.labels
        )
        for c in (0.1, 0.3, 1, 3)
    ]
    best = max(fitted, key=lambda model: f1_score(validation.labels, model.predict(validation.texts), average="macro"))
    answers = best.predict(test.texts)
    return accuracy_score(test.labels, answers), f1_score(test.labels, answers, average="macro")


def main() -> None:
    print(machine(), flush=True)
    folder, *names = sys.argv[1:]
    for name in names or ["trec6", "tweeteval_emotion", "emotion6"]:
        files = [read(Path(folder) / name / f"{part}.csv") for part in ("train", "validation", "test")]
        scores, f1s, validations = [], [], []
        for seed in range(SEEDS):
            splits = make_splits(*files, seed=seed)
            model = Classifier("small", seed=seed, device="cpu", threads=1)
            start = time.process_time()
            outcome = model.fit_records(splits.train, validation=splits.validation)
            cpu = time.process_time() - start
            metrics = model.evaluate(splits.test.texts, splits.test.labels)["metrics"]
            scores.append(metrics["accuracy"]["value"])
            f1s.append(metrics["macro_f1"]["value"])
            validations.append(outcome.history[outcome.kept_epoch - 1]["validation_macro_f1"])
            print(
                f"{name} seed {seed}: test accuracy {100 * scores[-1]:.1f}, macro-F1 {100 * f1s[-1]:.1f}; validation "
                f"macro-F1 {100 * validations[-1]:.1f} (epoch {outcome.kept_epoch}); {cpu / 60:.1f} CPU min",
                flush=True,
            )
        anchor = linear_anchor(*files)
        accuracy, f1 = mean_interval(scores), mean_interval(f1s)
        print(
            f"{name}: accuracy {100 * accuracy['value']:.1f} (sd {100 * accuracy['sd']:.1f}), macro-F1 "
            f"{100 * f1['value']:.1f} (sd {100 * f1['sd']:.1f}); TF-IDF + LinearSVC {100 * anchor[0]:.1f}, "
            f"{100 * anchor[1]:.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
