"""Laws of the ladder: what ships, when it says that it does not know, and which rows it never touches."""

import io
import json

import numpy as np
import pytest

from scriptchain import Classifier, ModelError, UsageError, config
from scriptchain.__main__ import run
from scriptchain.data.labels import Labels
from scriptchain.data.records import from_python, read
from scriptchain.data.text import leak_key
from scriptchain.ladder import Limits, climb, parts, recipes, ship
from scriptchain.ladder.kept import Kept
from scriptchain.ladder.rung import Rung, choose
from scriptchain.report import Report
from scriptchain.run import make_splits
from scriptchain.runtime.session import Session
from scriptchain.scoring.intervals import macro_f1_interval
from scriptchain.training import learning_curve

from .pretrained import FITTING, bert_folder
from .refusals import refusal
from .training.test_static import SMALL, saved

# --- what ships ----------------------------------------------------------------------------------------------


def rung(name: str, truth, wrong, size: int, latency: float = 1.0) -> Rung:
    """A rung that is wrong on these rows."""
    answers = truth.copy()
    answers[wrong] = 1 - answers[wrong]
    return Rung(name, answers, size, latency, 1.0, macro_f1_interval(truth, answers, 2))


def rungs(rows: int, *others: tuple[str, int, int]):
    """The majority class and rungs that are wrong on the first so many rows."""
    truth = np.arange(rows) % 2
    made = [rung(name, truth, np.arange(wrong), size) for name, wrong, size in others]
    return [Rung("majority", np.zeros(rows, np.int64), 0, 0.0, 0.0, macro_f1_interval(truth, np.zeros(rows, int), 2)),
            *made], truth  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "others", "chosen"),
    [
        (4000, [("linear", 400, 1), ("small", 400, 3), ("tuned", 399, 90)], ("linear", "DECIDED")),
        (4000, [("linear", 800, 1), ("small", 400, 3), ("tuned", 395, 90)], ("small", "DECIDED")),
        (4000, [("linear", 800, 1), ("small", 700, 3), ("tuned", 400, 90)], ("tuned", "DECIDED")),
        (60, [("linear", 14, 1), ("small", 13, 3), ("tuned", 12, 90)], ("tuned", "UNDECIDED")),
        (4000, [("linear", 430, 1), ("small", 400, 3), ("tuned", 399, 90)], ("small", "UNDECIDED")),
        (4000, [("linear", 300, 1), ("small", 400, 3), ("tuned", 500, 90)], ("linear", "DECIDED")),
    ],
)
def test_the_smallest_that_is_surely_good_enough_ships_else_the_best(rows, others, chosen):
    made, truth = rungs(rows, *others)
    assert choose(made, truth, 2, Limits()) == chosen


def test_the_majority_class_never_ships_however_good_it_is():
    made, truth = rungs(50, ("linear", 49, 5))
    assert made[0].score["value"] > made[1].score["value"]
    assert choose(made, truth, 2, Limits())[0] == "linear"


def test_a_wider_margin_lets_a_smaller_one_ship():
    made, truth = rungs(4000, ("linear", 600, 1), ("tuned", 400, 90))
    assert choose(made, truth, 2, Limits(margin=0.01))[0] == "tuned"
    assert choose(made, truth, 2, Limits(margin=0.08))[0] == "linear"


def test_what_is_too_large_or_too_slow_is_no_candidate_and_no_measure():
    made, truth = rungs(4000, ("linear", 700, 1), ("small", 400, 3), ("tuned", 100, 90))
    made[2].latency = 9.0
    assert choose(made, truth, 2, Limits(size=50.0)) == ("small", "DECIDED")
    assert made[3].verdict == "too large"
    assert choose(made, truth, 2, Limits(size=50.0, latency=2.0)) == ("linear", "DECIDED")
    assert made[2].verdict == "too slow"
    with pytest.raises(UsageError) as caught:
        choose(made, truth, 2, Limits(size=0.5))
    assert str(caught.value) == (
        "--max-size and --max-latency must leave one model, got none; the smallest, linear, has 0.0 MB and takes "
        "1.00 ms; hint: raise them"
    )


# --- which rows ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [200, 6_000])
def test_no_text_stands_on_two_sides_and_the_test_stays_apart(rows):
    texts = [f"text number {number // 2} of many" for number in range(rows)]
    splits = make_splits(from_python(texts, ["a", "a", "b", "b"] * (rows // 4), labels_required=True), None, None, 0)
    made = parts.parts_of(splits, 0)
    assert len(made) == (3 if rows < 5_000 else 1)
    test = set(map(leak_key, splits.test.texts))
    for part in made:
        sides = [set(map(leak_key, side.texts)) for side in (part.learn, part.choose, part.score)]
        assert sum(map(len, sides)) == len(set().union(*sides))
        assert not test & (sides[0] | sides[1] | sides[2])
        assert all(sides)
    scored = [text for part in made for text in part.score.texts]
    apart = len(splits.train) + len(splits.validation) if rows < 5_000 else len(splits.validation)
    assert len(scored) == apart


# --- the command ---------------------------------------------------------------------------------------------


@pytest.fixture
def quick(tmp_path, monkeypatch):
    """The recipes of the rungs, each so small that it trains in a moment."""
    tiny = SMALL | {"vocab_size": 400, "epochs": 2, "patience": 1}
    backbone = FITTING | {"epochs": 1, "init": {"backbone": str(bert_folder(tmp_path / "bert"))}}
    keys = {"linear": {}, "small": tiny, "static": tiny | {"init": {"embeddings": str(saved(tmp_path / "vectors"))}},
            "frozen": backbone | {"pooled_layers": 2}, "few": backbone | {"contrastive_steps": 2},
            "tuned": backbone}  # fmt: skip

    def recipe(name: str, seed: int):
        preset = "static" if name == "student" else name
        return config.resolve(preset, overrides=keys[preset] | {"seed": seed})

    monkeypatch.setattr(recipes, "recipe", recipe)
    monkeypatch.setattr(parts, "FOLDS", 2)
    return tmp_path


def test_auto_trains_every_rung_ships_one_and_tells_why(quick, monkeypatch, capsys):
    output, shipped, measured = quick / "run", Classifier.shipped, []
    monkeypatch.setattr(Classifier, "shipped", lambda model: (measured.append(model), shipped(model))[1])
    assert run(["train", "emotions", "--preset", "auto", "--output", str(output), "--json"]) == 0
    out, err = capsys.readouterr()
    report = json.loads(out)
    told = report["ladder"]
    assert [one["name"] for one in told["rungs"]] == [
        "majority", "linear", "small", "static", "frozen", "few", "tuned", "student"
    ]  # fmt: skip
    assert told["rows"] == report["rows"]["train"] + report["rows"]["validation"]
    assert told == json.loads((output / "ladder.json").read_text("utf-8"))
    assert (output / "ladder.png").read_bytes().startswith(b"\x89PNG")
    assert told["chosen"] in err
    assert told["learning_curve"]["verdict"] in ("more labels help", "undecided")
    assert err.startswith("at most about ") or "\nat most about " in err
    assert Session(output).config.preset == ("static" if told["chosen"] == "student" else told["chosen"])
    assert all(one["bytes"] > 0 and one["milliseconds"] > 0 for one in told["rungs"][1:])
    assert len(measured) == len(told["rungs"][1:])  # of two trainings each, the first
    assert (quick / "run-teacher").exists() == (told["chosen"] == "student")


def test_a_student_that_ships_has_its_teacher_beside_it(quick, monkeypatch, capsys):
    climbed = Report("the ladder", {"chosen": "student"}, ["student ships"])
    monkeypatch.setattr(ship, "climb", lambda *_, **__: (climbed, "student"))
    monkeypatch.setattr(ship, "picture", lambda data: b"")
    output = quick / "run"
    assert run(["train", "emotions", "--preset", "auto", "--output", str(output), "--quiet"]) == 0
    assert '"distilled"' in (output / "report.json").read_text("utf-8")
    assert Session(quick / "run-teacher").config.preset == "tuned"
    assert "student" in capsys.readouterr().out


def test_a_rung_that_the_budget_does_not_hold_is_left_out_and_told(quick, monkeypatch, capsys):
    seconds = {"linear": 0.01, "small": 1.0, "static": 9_000.0, "frozen": 9_000.0, "tuned": 9_000.0, "student": 1.0}
    monkeypatch.setattr(recipes, "foreseen", lambda *_: (seconds, {}))
    assert run(["train", "emotions", "--preset", "auto", "--output", str(quick / "run"), "--budget", "10m"]) == 0
    out, _ = capsys.readouterr()
    report = json.loads((quick / "run" / "ladder.json").read_text("utf-8"))
    assert [one["name"] for one in report["rungs"]] == ["majority", "linear", "small"]
    assert "static is left out: it takes at most 7.5 h, and 10 min of the budget are left" in out
    assert "student is left out: no teacher was trained" in out


def test_a_budget_below_the_linear_model_is_refused(quick, monkeypatch, capsys):
    monkeypatch.setattr(recipes, "foreseen", lambda *_: ({"linear": 30.0}, {}))
    code, line = refusal(quick, capsys, "train", "emotions", "--preset", "auto", "--quiet", "--budget", "5s",
                         "--output", quick / "run")  # fmt: skip
    assert (code, line) == (2, "--budget must be at least 90s, the linear model's time, got 5s; hint: --budget 90s")


def test_weights_that_are_not_installed_leave_their_rungs_out(monkeypatch):
    splits = make_splits(read("emotions"), None, None, 0)
    missing = {"static": "pip install x", "frozen": "pip install y", "few": "pip install y", "tuned": "pip install y"}
    monkeypatch.setattr(recipes, "missing", lambda name, seed: missing.get(name))
    monkeypatch.setattr(recipes, "unfitted", lambda *_: type("Timed", (), {"seconds": lambda self, rows: 1.0})())
    part, labels = parts.parts_of(splits, 0)[0], Labels.from_names(splits.train.labels)
    seconds, left_out = recipes.foreseen(part, labels, 0, 0, "cpu")
    assert list(seconds) == ["linear", "small"]
    assert left_out == missing


def test_a_place_that_is_taken_is_refused_before_anything_is_trained(tmp_path, capsys):
    (tmp_path / "run").mkdir()
    place = tmp_path / "run"
    assert refusal(tmp_path, capsys, "train", "emotions", "--preset", "auto", "--quiet", "--output", place) == (
        2, f"--output must not exist yet, got {str(place)!r}; hint: --force replaces it"
    )  # fmt: skip


def test_a_teacher_of_before_is_met_before_anything_is_trained(tmp_path, capsys):
    place = tmp_path / "run-teacher"
    place.mkdir()
    arguments = ("train", "emotions", "--preset", "auto", "--quiet", "--output", tmp_path / "run")
    assert refusal(tmp_path, capsys, *arguments) == (
        2, f"--output must not exist yet, got {str(place)!r}; hint: --force replaces it"
    )  # fmt: skip


def test_an_unfinished_run_is_met_before_anything_is_trained(tmp_path, capsys):
    (tmp_path / "run-partial" / "seed-0").mkdir(parents=True)
    code, line = refusal(
        tmp_path, capsys, "train", "emotions", "--preset", "auto", "--quiet", "--output", tmp_path / "run"
    )
    assert (code, line.split(";")[0]) == (2, f"{tmp_path / 'run-partial'} must be free, got an unfinished run")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--budget", "10m"], "--budget must come with --preset auto, got it alone"),
        (["--max-size", "5MB", "--preset", "small"], "--max-size must come with --preset auto, got it alone"),
        (["--preset", "auto", "--set", "epochs=1"], "--set must not come with --preset auto, got both"),
        (["--preset", "auto", "--finish"], "--finish must not come with --preset auto, got both"),
        (["--margin", "0"], "--margin must come with --preset auto, got it alone"),
        (["--preset", "auto", "--repeats", "2"], "--repeats must not come with --preset auto, got both"),
        (["--preset", "auto", "--budget", "10"],
         "--budget must be a number above 0 with one of s, m, h, got '10'; hint: --budget 10m"),
        (["--preset", "auto", "--budget", "0m"],
         "--budget must be a number above 0 with one of s, m, h, got '0m'; hint: --budget 10m"),
        (["--preset", "auto", "--max-size", "5 tons"],
         "--max-size must be a number above 0 with one of KB, MB, GB, got '5 tons'; hint: --max-size 5MB"),
        (["--preset", "auto", "--max-latency", "fast"],
         "--max-latency must be a number above 0 with one of ms, s, got 'fast'; hint: --max-latency 1ms"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "refused",
)  # fmt: skip
def test_options_that_do_not_fit_are_refused(tmp_path, capsys, words, line):
    arguments = ["train", "emotions", "--quiet", "--output", tmp_path / "run", *words]
    assert refusal(tmp_path, capsys, *arguments) == (2, line)


def test_units_are_read_whatever_their_case():
    from scriptchain.cli.options import BYTES, MILLISECONDS, SECONDS, measured

    assert measured("1.5h", SECONDS, "--budget", "10m") == 5400
    assert measured("500 kb", BYTES, "--max-size", "5MB") == 500_000
    assert measured("2S", MILLISECONDS, "--max-latency", "1ms") == 2000
    assert measured(None, SECONDS, "--budget", "10m") is None


# --- a climb that is stopped ---------------------------------------------------------------------------------


class Stops(io.StringIO):
    """Stops the process, as Ctrl-C does, when a line begins so."""

    def __init__(self, line: str = "nothing"):
        super().__init__()
        self.line = line

    def write(self, text: str) -> int:
        if text.startswith(self.line):
            raise KeyboardInterrupt
        return super().write(text)


@pytest.fixture
def short(quick, monkeypatch):
    """Three kinds of rungs: one without steps, one with, one that is taught; and no learning curve."""
    seconds = dict.fromkeys(("linear", "small", "tuned", "student"), 1.0)
    monkeypatch.setattr(recipes, "foreseen", lambda *_: (dict(seconds), {}))
    monkeypatch.setattr(learning_curve, "FEWEST", 1_000)
    return quick


def climbed(folder, line: str = "nothing", seconds: float | None = None) -> tuple[dict, str]:
    stream = Stops(line)
    folder.mkdir(exist_ok=True)
    kept = Kept(folder, "these rows", 0.0)
    try:
        report, _ = climb(
            make_splits(read("emotions"), None, None, 0), Limits(seconds), kept, device="cpu", stream=stream
        )
    except KeyboardInterrupt:
        return {}, stream.getvalue()
    return report.data, stream.getvalue()


def figures(report: dict) -> list:
    return [(rung["name"], rung["macro_f1"], rung["bytes"], rung["verdict"]) for rung in report["rungs"]]


def test_a_climb_that_was_stopped_goes_on_to_the_same_answers(short):
    unbroken, _ = climbed(short / "unbroken")
    for line in ("epoch 2/2", "tuned: training 2 of 2", "student: training 2 of 2"):
        assert climbed(short / "broken", line)[0] == {}
    report, told = climbed(short / "broken")
    assert figures(report) == figures(unbroken)
    assert [line for line in told.splitlines() if line.endswith("is kept")] == [
        "linear: training 1 of 2 is kept", "linear: training 2 of 2 is kept", "small: training 1 of 2 is kept",
        "small: training 2 of 2 is kept", "tuned: training 1 of 2 is kept", "tuned: training 2 of 2 is kept",
        "student: training 1 of 2 is kept",
    ]  # fmt: skip
    for number in range(2):
        one, other = (
            json.loads((short / name / f"trial-student-{number}.json").read_text("utf-8"))
            for name in ("unbroken", "broken")
        )
        assert one["answers"] == other["answers"]
    assert not list((short / "broken").glob("checkpoints-*"))


def test_steps_of_a_training_that_was_stopped_are_not_taken_again(short):
    climbed(short / "climb", "epoch 2/2")
    _, told = climbed(short / "climb", "tuned")
    assert told.count("goes on behind step ") == 1


def test_a_damaged_file_costs_its_training_alone(short):
    climbed(short / "climb", "tuned")
    path = short / "climb" / "trial-small-0.json"
    path.write_text(path.read_text("utf-8")[:-9], encoding="utf-8")
    _, told = climbed(short / "climb", "tuned")
    assert "small: training 1 of 2\n" in told
    assert "small: training 2 of 2 is kept\n" in told


def test_what_is_kept_counts_against_the_budget_once_and_is_never_left_out(short, monkeypatch):
    climbed(short / "climb", "tuned")
    spent = sum(json.loads(path.read_text("utf-8"))["seconds"] for path in (short / "climb").glob("trial-*.json"))
    seconds = dict.fromkeys(("linear", "small", "tuned", "student"), spent / 100)
    monkeypatch.setattr(recipes, "foreseen", lambda *_: (dict(seconds), {}))
    report, _ = climbed(short / "climb", seconds=0.9 * spent)
    assert [rung["name"] for rung in report["rungs"]] == ["majority", "linear", "small"]
    assert report["left_out"]["tuned"].endswith("and 0.0 s of the budget are left")


def test_an_unfinished_climb_is_never_thrown_away_unasked(short, monkeypatch):
    monkeypatch.setattr(recipes, "foreseen", lambda *_: ({"linear": 1.0, "small": 1.0}, {}))

    def go(line: str = "nothing", seed: int = 0, **options):
        stream = Stops(line)
        try:
            return ship.train(read("emotions"), short / "run", Limits(), device="cpu", stream=stream, seed=seed,
                              **options), stream.getvalue()  # fmt: skip
        except KeyboardInterrupt:
            return None, stream.getvalue()

    work = short / "run-climb-partial"
    assert go("small: training 2")[1].endswith(
        f"what was found out is kept in {work}; the same command with --resume goes on\n"
    )
    with pytest.raises(UsageError) as caught:
        go()
    assert str(caught.value).startswith(f"{work} must be free, got an unfinished run")
    with pytest.raises(ModelError) as other:
        go(resume=True, seed=1)
    assert str(other.value) == (
        f"{work} must hold a climb of these rows with this seed, got another; hint: --force starts from the beginning"
    )
    assert "is kept" not in go("small: training 2", force=True)[1].replace("what was found out is kept", "")
    report, told = go(resume=True)
    assert told.count("is kept\n") == 3
    assert Session(short / "run").config.preset in ("linear", "small")
    assert sorted(path.name for path in (short / "run").glob("ladder.*")) == ["ladder.json", "ladder.png"]
    assert not list(short.glob("*-partial"))
    before = (short / "run" / "ladder.json").read_bytes()
    go("small: training 2", force=True)
    with pytest.raises(UsageError) as taken:  # what replaces a finished run is not taken for it
        go(resume=True)
    assert str(taken.value) == f"--output must not exist yet, got '{short}/run'; hint: --force replaces it"
    assert (work / "trial-small-0.json").exists()
    assert (short / "run" / "ladder.json").read_bytes() == before
    assert go(resume=True, force=True)[1].count("is kept\n") == 3
    again, told = go(resume=True)
    assert again.title.endswith("is finished already")
    assert "training" not in told
    assert again.data["metrics"] == report.data["metrics"]
