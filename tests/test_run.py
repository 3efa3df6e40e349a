"""Laws of a training job: no text on two sides, a given test stays whole, nothing half done takes the name."""

import io
import itertools
import json
import os
import signal
import subprocess
import sys

import pytest

from scriptchain import config, run
from scriptchain.data.records import Records, from_python, read
from scriptchain.data.tasks import generate
from scriptchain.data.text import leak_key
from scriptchain.errors import DataError, DivergedError, Interrupted, ModelError, UsageError
from scriptchain.run import make_splits, train
from scriptchain.runtime.evaluation import evaluate
from scriptchain.runtime.session import Session

TINY = {
    "d_model": 16,
    "num_heads": 2,
    "num_layers": 1,
    "d_feedforward": 32,
    "epochs": 1,
    "max_seq_len": 16,
    "vocab_size": 300,
}


def rows(part: str = "train", count: int = 200) -> Records:
    return from_python(*generate("negation", part, count))


def keys(records: Records) -> set[str]:
    return {leak_key(text) for text in records.texts}


@pytest.mark.parametrize("given", list(itertools.product([False, True], repeat=2)), ids=str)
def test_no_text_stands_on_two_sides_whatever_is_given(given):
    base = rows()
    shouted = from_python([text.upper() + "!" for text in base.texts[:20]], (base.labels or [])[:20])
    validation, test = (shouted if wanted else None for wanted in given)
    splits = make_splits(base, validation, rows("test", 40) if all(given) else test, seed=0)
    sides = [keys(side) for side in (splits.train, splits.validation, splits.test)]
    for one, other in itertools.combinations(sides, 2):
        assert not one & other


def test_shares_are_80_10_10_and_90_10_beside_a_given_test():
    assert make_splits(rows(), None, None, 0).sizes == {"train": 160, "validation": 20, "test": 20}
    assert make_splits(rows(), None, rows("test", 40), 0).sizes == {"train": 180, "validation": 20, "test": 40}
    assert make_splits(rows(), rows("validation", 40), None, 0).sizes == {"train": 180, "validation": 40, "test": 20}


def test_a_given_test_keeps_every_row_and_training_loses_the_copies():
    base = rows()
    splits = make_splits(base, None, base.subset(range(30)), 0)
    assert splits.sizes["test"] == 30
    assert splits.sizes["train"] + splits.sizes["validation"] == 170
    assert splits.notes == ["30 training rows are left out: their texts stand in the test set"]


@pytest.mark.parametrize("name", ["training", "validation"])
def test_a_set_that_is_all_in_the_test_is_refused(name):
    test = rows("test", 40)
    given = {"training": rows(), "validation": rows("validation", 40)} | {name: test}
    with pytest.raises(DataError) as caught:
        make_splits(*given.values(), test, seed=0)
    assert str(caught.value) == (
        f"the {name} rows must have texts that the test set has not, got none of 40; "
        "hint: another file, or leave --test out"
    )


def test_a_run_that_fails_leaves_nothing_and_what_was_there(tmp_path, monkeypatch):
    output = tmp_path / "run"
    train(rows(), config.resolve("small", overrides=TINY), output, device="cpu")
    before = {file.name: file.read_bytes() for file in output.iterdir()}

    def diverge(*_: object, **__: object) -> None:
        raise DivergedError("the loss must stay finite, got nan")

    monkeypatch.setattr("scriptchain.classifier.Classifier.fit_records", diverge)
    with pytest.raises(DivergedError):
        train(rows(), config.resolve("small", overrides=TINY), output, force=True, device="cpu")
    assert {file.name: file.read_bytes() for file in output.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_signal_among_several_seeds_loses_none_of_them(tmp_path):
    class KillsTheSecondSeed(io.StringIO):
        seed = ""

        def write(self, text: str) -> int:
            self.seed = text.split(":")[0] if text.startswith("seed ") else self.seed
            if self.seed == "seed 1" and text.startswith("epoch 1/"):
                os.kill(os.getpid(), signal.SIGTERM)
            return super().write(text)

    made, work = config.resolve("small", overrides=TINY | {"epochs": 2}), tmp_path / "run-partial"
    train(rows(), made, tmp_path / "unbroken", repeats=2, device="cpu")
    with pytest.raises(Interrupted) as caught:
        train(rows(), made, tmp_path / "run", repeats=2, device="cpu", stream=KillsTheSecondSeed())
    assert caught.value.exit_code == 143
    assert str(caught.value) == (
        f"training was stopped by SIGTERM behind step 6; all of it is kept in {work}; "
        "hint: the same command with --resume goes on, and with --resume --finish ends there"
    )
    assert sorted(path.name for path in work.iterdir()) == ["checkpoints-seed-1", "lock", "seed-0"]
    assert Session(work / "seed-0").labels.names == ("bad", "good")
    train(rows(), made, tmp_path / "run", repeats=2, resume=True, device="cpu")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "unbroken"]
    for seed in (".", "seed-0", "seed-1"):
        one, other = ((tmp_path / run / seed / "model.safetensors").read_bytes() for run in ("unbroken", "run"))
        assert one == other


@pytest.mark.parametrize("other", ["config", "rows"])
def test_a_seed_that_is_trained_goes_on_with_its_like_alone(other, tmp_path):
    class StopsBeforeTheSecond(io.StringIO):
        def write(self, text: str) -> int:
            if text.startswith("seed 1:"):
                raise KeyboardInterrupt
            return super().write(text)

    made = config.resolve("small", overrides=TINY | {"epochs": 1})
    with pytest.raises(KeyboardInterrupt):
        train(rows(), made, tmp_path / "run", repeats=2, device="cpu", stream=StopsBeforeTheSecond())
    given, settled = rows(), config.replace(made, epochs=2 if other == "config" else 1)
    if other == "rows":
        given = Records([f"{text} too" for text in given.texts], given.labels, given.lines, given.source)
    with pytest.raises(ModelError) as caught:
        train(given, settled, tmp_path / "run", repeats=2, resume=True, device="cpu")
    assert str(caught.value) == (
        f"{tmp_path}/run-partial/seed-0 must be of the config and the rows that its run goes on with, got a seed of "
        "others; hint: --force starts from the beginning"
    )
    train(rows(), made, tmp_path / "run", repeats=2, resume=True, device="cpu")
    assert (tmp_path / "run" / "seed-1").exists()


def test_force_replaces_run_folders_and_nothing_else(tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    made = config.resolve("small", overrides=TINY)
    with pytest.raises(UsageError) as caught:
        train(rows(), made, mine, force=True)
    assert str(caught.value) == f"--force replaces run folders only, got '{mine}'; hint: choose another --output"
    with pytest.raises(UsageError) as caught:
        train(rows(), made, mine)
    assert str(caught.value) == f"--output must not exist yet, got '{mine}'; hint: --force replaces it"
    assert (mine / "thesis.txt").read_text() == "years of work"


def test_the_report_is_about_the_test_split_and_the_shipped_model(tiny_run, tiny_data):
    data = json.loads((tiny_run / "report.json").read_text())
    assert data["metrics_split"] == "test"
    assert data["rows"] == {"train": 128, "validation": 16, "test": 16}
    splits = make_splits(read(tiny_data), None, None, 0)
    assert sum(row["support"] for row in data["per_class"].values()) == len(splits.test)
    assert data["leaks"]["rows"] == 0
    history = [json.loads(line) for line in (tiny_run / "history.jsonl").read_text().splitlines()]
    assert [record["epoch"] for record in history] == [1, 2]
    kept = history[data["kept_epoch"] - 1]
    assert (
        data["validation"]["macro_f1"] == kept["validation_macro_f1"] == max(r["validation_macro_f1"] for r in history)
    )


def test_the_test_split_is_answered_once_a_seed_and_all_that_is_told_is_of_the_shipped_model(tmp_path, monkeypatch):
    asked = []

    def counted(session, records, **given):
        asked.append(len(records))
        return evaluate(session, records, **given)

    monkeypatch.setattr(run, "evaluate", counted)
    report = run.train(rows(), config.resolve("small", overrides=TINY), tmp_path / "run", repeats=2, device="cpu")
    splits = make_splits(rows(), None, None, 0)
    assert asked == [len(splits.test)] * 2
    again = evaluate(Session(tmp_path / "run"), splits.test, name="again")
    assert report.body[1:] == again.body  # before it, what the seeds have in common


HELD = """
import gc, sys
from scriptchain.__main__ import run
from scriptchain.classifier import Classifier
from scriptchain.data.records import Records
from scriptchain.errors import DataError

def fit(*_, **__):
    gc.collect()
    print(sorted(len(one) for one in gc.get_objects() if type(one) is Records))
    raise DataError("enough was seen")

Classifier.fit_records = fit
sys.exit(run(["train", *sys.argv[1:], "--quiet"]))
"""


def test_the_rows_of_a_file_are_held_by_nobody_when_they_are_split(tmp_path):
    texts, labels = generate("roles", "train", 337)
    file = tmp_path / "rows.csv"
    file.write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in zip(texts, labels, strict=True)))
    # In a process of its own: what checks types in tests holds the arguments of every call.
    command = [sys.executable, "-c", HELD, file, "--output", tmp_path / "out"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (3, "[34, 34, 269]\n")
