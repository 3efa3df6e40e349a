"""The linear baseline on public sets: fitted on train, chosen on validation, the test file scored once.

usage: python benchmarks/linear.py FOLDER [SET ...]   FOLDER holds SET/train.csv, validation.csv, test.csv (text,label).
Beside it, on the same files in the same run: words and word pairs alone, C of 1, 10 or 30 by validation.
"""

import sys
import time
from pathlib import Path

from machine import machine

from scriptchain.data.labels import Labels
from scriptchain.data.records import read
from scriptchain.scoring.intervals import accuracy_interval, macro_f1_interval, paired_difference
from scriptchain.training.baseline import fit_baseline

SETS = ("tweeteval_emotion", "sst2", "trec6", "emotion6")


def words_alone(train, validation, test) -> list[str]:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import f1_score
    from sklearn.pipeline import make_pipeline

    fitted = [
        make_pipeline(
            TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), max_features=100_000),
            LogisticRegression(C=c, max_iter=1_000),
        ).fit(train.texts, train.labels)
        for c in (1, 10, 30)
    ]
    best = max(fitted, key=lambda model: f1_score(validation.labels, model.predict(validation.texts), average="macro"))
    return list(best.predict(test.texts))


def main() -> None:
    print(machine(), flush=True)
    folder, *names = sys.argv[1:]
    for name in names or SETS:
        train, validation, test = (
            read(Path(folder) / name / f"{part}.csv") for part in ("train", "validation", "test")
        )
        labels = Labels.from_names(train.labels or [])
        truth = labels.index(test.labels or [])
        start = time.process_time()
        baseline = fit_baseline(
            train.texts, labels.index(train.labels or []), len(labels),
            (validation.texts, labels.index(validation.labels or [])),
        )  # fmt: skip
        cpu = time.process_time() - start
        start = time.process_time()
        answers = baseline.logits(test.texts).argmax(1)
        rate = len(test) / (time.process_time() - start)
        before = labels.index(words_alone(train, validation, test))
        lead = paired_difference(truth, answers, before, len(labels), metric="macro_f1")
        print(f"{name}: fitted in {cpu:.0f} CPU s, {rate:,.0f} texts a CPU s, "
              f"{sum(map(len, baseline.files().values())) / 2**20:.1f} MiB")  # fmt: skip
        for told, answer in (("words and characters", answers), ("words alone", before)):
            scores = [accuracy_interval(truth, answer), macro_f1_interval(truth, answer, len(labels))]
            print(f"  {told}: " + ", ".join(
                f"{metric} {100 * one['value']:.1f} [{100 * one['low']:.1f}, {100 * one['high']:.1f}]"
                for metric, one in zip(("accuracy", "macro-F1"), scores, strict=True)
            ))  # fmt: skip
        print(f"  lead in macro-F1 {100 * lead['value']:.1f} [{100 * lead['low']:.1f}, {100 * lead['high']:.1f}]",
              flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
