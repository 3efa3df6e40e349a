"""Where the weights come from, on public sets: the recipes side by side on the same rows, one test score a seed.

usage: python benchmarks/starts.py FOLDER --presets small,static,tuned,student --seeds 3 [--unlabelled FILE] [SET ...]
FOLDER holds SET/train.csv, validation.csv, test.csv (text,label). `student` has the preset of --student
(`static`) and is taught by the `tuned` of its seed, on the texts of --unlabelled that stand in neither validation nor
test too.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from machine import machine

from scriptchain import Classifier
from scriptchain.data.labels import Labels
from scriptchain.data.records import read
from scriptchain.data.splits import without
from scriptchain.run import make_splits
from scriptchain.scoring.intervals import mean_interval
from scriptchain.scoring.metrics import accuracy, confusion, macro_f1
from scriptchain.training.lesson import lesson


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("sets", nargs="*", default=["tweeteval_emotion", "sst2", "trec6"])
    parser.add_argument("--presets", default="small,static,tuned,student")
    parser.add_argument("--student", default="static")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--unlabelled")
    parser.add_argument("--set", action="append", default=[], dest="settings", help="of the student: KEY=VALUE")
    told = parser.parse_intermixed_args()
    print(machine(), flush=True)
    for name in told.sets:
        files = [read(told.folder / name / f"{part}.csv") for part in ("train", "validation", "test")]
        splits = make_splits(*files, seed=0)
        truth = Labels.from_names(splits.train.labels or []).index(splits.test.labels or [])
        scores: dict[str, list[tuple[float, float]]] = {}
        for seed in range(told.first_seed, told.first_seed + told.seeds):
            teacher = None
            for preset in told.presets.split(","):
                start, wall = time.process_time(), time.perf_counter()
                taught = None
                recipe: dict[str, object] = {"seed": seed}
                if preset == "student":
                    assert teacher is not None, "tuned must come before student"
                    texts = [] if told.unlabelled is None else read(told.unlabelled, labels_required=False).texts
                    kept = without(texts, [*splits.validation.texts, *splits.test.texts])
                    taught = lesson(teacher, splits.train, [texts[row] for row in kept])
                    recipe |= {"label_smoothing": 0.0} | dict(_setting(one) for one in told.settings)
                model = Classifier(
                    told.student if preset == "student" else preset, device=told.device, threads=1, **recipe
                )
                outcome = model.fit_records(splits.train, validation=splits.validation, lesson=taught)
                teacher = model if preset == "tuned" else teacher
                spent = time.process_time() - start
                cells = confusion(truth, model.logits(splits.test.texts).argmax(1), len(model.classes_))
                one = float(accuracy(cells)), float(macro_f1(cells))
                scores.setdefault(preset, []).append(one)
                kept_epoch = outcome.history[outcome.kept_epoch - 1]
                print(
                    f"{name} {preset} seed {seed}: accuracy {100 * one[0]:.1f}, macro-F1 {100 * one[1]:.1f} "
                    f"(validation {100 * kept_epoch['validation_macro_f1']:.1f}), {model.learned_[1]:,} parameters, "
                    f"{spent:.0f} CPU s, {time.perf_counter() - wall:.0f} s",
                    flush=True,
                )
        for preset, found in scores.items():
            if len(found) > 1:
                both = [mean_interval(list(np.array(found)[:, column])) for column in (0, 1)]
                print(
                    f"{name} {preset}: "
                    + ", ".join(
                        f"{metric} {100 * one['value']:.1f} [{100 * one['low']:.1f}, {100 * one['high']:.1f}]"
                        for metric, one in zip(("accuracy", "macro-F1"), both, strict=True)
                    ),
                    flush=True,
                )


def _setting(text: str) -> tuple[str, object]:
    key, value = text.split("=")
    return key, float(value) if "." in value or "e" in value else int(value)


if __name__ == "__main__":
    main()
