"""The JSON contract: one document on stdout, exactly these keys, and figures that hold together."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import scriptchain
from scriptchain.__main__ import run
from scriptchain.config import KEYS
from scriptchain.data.tasks import generate
from scriptchain.runtime.bundle import FILES

from ..tiny import TINY

SETTINGS = [part for setting in TINY for part in ("--set", setting)] + ["--device", "cpu", "--threads", "1"]

EVALUATION = {
    "file", "unknown_labels", "truncated", "metrics", "baselines", "data_needs_order", "model_uses_order", "leaks",
    "per_class", "confusion", "reliability", "log_loss", "brier_score", "selective",
    "label_sets", "unfamiliar", "worst_errors",
}  # fmt: skip
TRAINING = EVALUATION | {
    "model", "rows", "seed", "metrics_split", "kept_epoch", "validation", "training_seconds", "temperature", "seconds",
    "check",
}  # fmt: skip
CHECK = {
    "rows", "classes", "balance", "lengths", "duplicates", "near_duplicates", "conflicts", "leaks", "shift",
    "label_variants", "label_in_text", "scripts", "scripts_mixed", "languages", "clean", "warnings",
}  # fmt: skip
PEOPLE_READ = {
    "README.md", "confusion.png", "curves.png", "history.jsonl", "positions.png", "report.html", "report.json",
}  # fmt: skip


def write(path: Path, rows) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    return path


def no_constant(name: str) -> None:
    raise AssertionError(f"{name} is not JSON")


def document(stdout: str) -> dict:
    """The only JSON document of the output, which ends in one line break."""
    assert stdout.endswith("}\n")
    return json.loads(stdout, parse_constant=no_constant)


def is_interval(figure: dict, lowest: float = 0.0, highest: float = 1.0) -> None:
    assert list(figure) == ["value", "low", "high"]
    assert all(isinstance(number, float) for number in figure.values())
    assert lowest <= figure["low"] <= figure["value"] <= figure["high"] <= highest


def are_metrics(metrics: dict) -> None:
    assert list(metrics) == ["accuracy", "macro_f1", "calibration_error"]
    for figure in metrics.values():
        is_interval(figure)


def is_evaluation(data: dict, rows: int, classes: list[str]) -> None:
    are_metrics(data["metrics"])
    assert list(data["baselines"]) == ["majority", "tfidf_lr"]
    for baseline in data["baselines"].values():
        assert list(baseline) == ["accuracy", "macro_f1", "difference"]
        is_interval(baseline["accuracy"])
        is_interval(baseline["macro_f1"])
        assert list(baseline["difference"]) == ["accuracy", "macro_f1"]
        for name, figure in baseline["difference"].items():
            is_interval(figure, -1.0)
            assert figure["value"] == pytest.approx(data["metrics"][name]["value"] - baseline[name]["value"])
    is_interval(data["data_needs_order"], -100.0, 100.0)
    assert list(data["model_uses_order"]) == ["flip_rate", "logit_distance"]
    assert 0 <= data["model_uses_order"]["flip_rate"] <= 1
    assert data["model_uses_order"]["logit_distance"] >= 0
    assert list(data["leaks"]) == ["rows", "metrics_without"]
    assert list(data["per_class"]) == data["confusion"]["labels"] == classes
    matrix = data["confusion"]["rows"]
    assert sum(map(sum, matrix)) == rows
    assert sum(matrix[number][number] for number in range(len(classes))) / rows == data["metrics"]["accuracy"]["value"]
    for number, figures in enumerate(data["per_class"].values()):
        assert list(figures) == ["precision", "recall", "f1", "support"]
        assert figures["support"] == sum(matrix[number])
    assert sum(bin["rows"] for bin in data["reliability"]) == rows
    assert {key for bin in data["reliability"] for key in bin} == {"low", "high", "confidence", "accuracy", "rows"}
    wrong = rows - sum(matrix[number][number] for number in range(len(classes)))
    assert len(data["worst_errors"]) == min(10, wrong)
    for error in data["worst_errors"]:
        assert list(error) == ["line", "text", "label", "predicted", "score"]
        assert error["label"] != error["predicted"]


def is_check(data: dict, rows: int) -> None:
    assert set(data) == CHECK
    assert data["rows"] == rows == sum(data["classes"].values())
    for key in ("duplicates", "near_duplicates", "conflicts", "leaks"):
        assert list(data[key]) == ["count", "rows"]
        assert len(data[key]["rows"]) == min(100, data[key]["count"])
        assert all(1 <= row <= rows for row in data[key]["rows"])
    assert list(data["lengths"]) == ["unit", "median", "p95", "max", "covers_99"]
    assert data["shift"] is None or list(data["shift"]) == ["distance", "p_value", "label", "share", "other_share"]


# --- train ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def twice(tiny_data, tmp_path_factory):
    """The same command twice: as a user has it, and in a bare environment without HOME, locale and hash seed."""
    folder = tmp_path_factory.mktemp("twice")
    source = str(Path(scriptchain.__file__).parents[1])
    bare = {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": source, "LC_ALL": "C", "PYTHONHASHSEED": "7"}
    done = []
    for name, environment in (("one", {**os.environ, "PYTHONPATH": source, "PYTHONHASHSEED": "1"}), ("two", bare)):
        command = [
            sys.executable,
            "-m",
            "scriptchain",
            "train",
            tiny_data,
            "--output",
            folder / name,
            "--json",
            *SETTINGS,
        ]
        done.append(
            subprocess.run(
                list(map(str, command)), capture_output=True, encoding="utf-8", env=environment, cwd=folder, timeout=300
            )
        )
        assert done[-1].returncode == 0, done[-1].stderr
    return folder, *done


def test_train_prints_one_document_that_holds_together(twice):
    folder, done, _ = twice
    data = document(done.stdout)
    assert set(data) == TRAINING
    assert data["model"] == str(folder / "one")
    assert data["rows"] == {"train": 128, "validation": 16, "test": 16}
    assert data["metrics_split"] == "test"
    assert data["seed"] == 0
    assert data["kept_epoch"] in (1, 2)
    assert list(data["validation"]) == ["loss", "accuracy", "macro_f1"]
    assert 0 < data["training_seconds"] < data["seconds"]
    is_check(data["check"], rows=160)
    is_evaluation(data, rows=16, classes=["bad", "good"])
    assert data["leaks"]["rows"] == 0
    assert data["leaks"]["metrics_without"] == data["metrics"]


def test_train_talks_on_stderr_only(twice):
    _, done, _ = twice
    lines = done.stderr.splitlines()
    assert lines[0] == "check: rows that repeat an earlier row but for case, punctuation or one word: 40"
    assert lines[1] == "128 rows to train on, 16 to choose by, 16 to score once"
    assert lines[2] == "128 of 128 training texts are longer than 16 tokens and are cut"
    assert [line.split("  ")[0] for line in lines[-2:]] == ["epoch 1/2", "epoch 2/2"]
    assert "\r" not in done.stderr
    assert "\x1b" not in done.stderr


def test_the_same_command_gives_the_same_bytes_in_any_environment(twice):
    folder, one, two = twice
    for name in (*FILES, "manifest.json", "history.jsonl"):
        assert (folder / "one" / name).read_bytes() == (folder / "two" / name).read_bytes(), name
    first, second = document(one.stdout), document(two.stdout)
    for data in (first, second):
        for name in ("seconds", "training_seconds", "model"):
            del data[name]
    assert first == second


def test_no_home_and_no_locale_add_no_talk(twice):
    _, one, two = twice
    told = [[line for line in done.stderr.splitlines() if line[:5] not in ("epoch", "train")] for done in (one, two)]
    assert told[0] == told[1]


def test_the_run_folder_is_complete_and_its_report_is_the_document(twice):
    folder, done, _ = twice
    assert {path.name for path in (folder / "one").iterdir()} == {*FILES, "manifest.json", *PEOPLE_READ}
    assert json.loads((folder / "one" / "report.json").read_text("utf-8")) == document(done.stdout)
    history = [json.loads(line) for line in (folder / "one" / "history.jsonl").read_text("utf-8").splitlines()]
    assert [record["epoch"] for record in history] == [1, 2]
    assert {path.name for path in folder.iterdir()} == {"one", "two"}  # nothing half done is left beside them


def test_repeats_train_seeds_and_the_root_is_the_median(tiny_data, tiny_run, tmp_path, capsys):
    output = tmp_path / "run"
    shutil.copytree(tiny_run, output)
    (output / "old.txt").write_text("of the run before")
    code = run(["train", str(tiny_data), "--output", str(output), "--force", "--repeats", "2", "--seed", "3", "--json",
                *SETTINGS])  # fmt: skip
    out, err = capsys.readouterr()
    assert code == 0
    data = document(out)
    assert set(data) == TRAINING | {"runs", "summary"}
    assert [(one["seed"], one["model"]) for one in data["runs"]] == [(3, f"{output}/seed-3"), (4, f"{output}/seed-4")]
    for one in data["runs"]:
        assert list(one) == ["model", "seed", "kept_epoch", "validation", "metrics", "training_seconds"]
        are_metrics(one["metrics"])
    assert list(data["summary"]) == ["accuracy", "macro_f1"]
    for name, figure in data["summary"].items():
        first, second = (one["metrics"][name]["value"] for one in data["runs"])
        assert list(figure) == ["value", "low", "high", "sd"]
        assert figure["value"] == pytest.approx((first + second) / 2)
        assert figure["sd"] == pytest.approx(abs(first - second) / 2**0.5)
        assert figure["low"] <= figure["value"] <= figure["high"]
    median = min(data["runs"], key=lambda one: one["validation"]["macro_f1"])
    assert (data["seed"], data["metrics"], data["model"]) == (median["seed"], median["metrics"], str(output))
    for name in (*FILES, "manifest.json", "history.jsonl"):
        assert (output / name).read_bytes() == (output / f"seed-{median['seed']}" / name).read_bytes(), name
    other = 7 - median["seed"]
    assert (output / "model.safetensors").read_bytes() != (output / f"seed-{other}" / "model.safetensors").read_bytes()
    assert json.loads((output / "report.json").read_text("utf-8")) == data
    assert not (output / "old.txt").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert "seed 3: run 1 of 2\n" in err
    assert "seed 4: run 2 of 2\n" in err


def test_a_given_test_file_is_scored_whole_and_its_texts_leave_the_training(tiny_data, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    texts, labels = generate("negation", "train", 120)
    rows = list(zip(texts, labels, strict=True))
    held_out = [(text.upper() + " !", label) for text, label in rows[:8]]
    held_out += list(zip(*generate("negation", "test", 12), strict=True))
    write(tmp_path / "rows.v1.csv", rows)
    write(tmp_path / "held.csv", held_out)
    code = run(["train", "rows.v1.csv", "--test", "held.csv", "--quiet", "--json", *SETTINGS])
    out, err = capsys.readouterr()
    assert (code, err) == (0, "")
    data = document(out)
    assert data["model"] == "runs/rows"
    assert (tmp_path / "runs" / "rows" / "manifest.json").is_file()
    assert data["rows"]["test"] == 20
    assert data["rows"]["train"] + data["rows"]["validation"] == 120 - 8
    assert data["rows"]["validation"] == 11  # a tenth of 112
    assert data["check"]["leaks"] == {"count": 8, "rows": [1, 2, 3, 4, 5, 6, 7, 8]}
    assert data["leaks"]["rows"] == 0
    is_evaluation(data, rows=20, classes=["bad", "good"])


# --- evaluate ------------------------------------------------------------------------------------------------


def test_evaluate_prints_one_document_that_holds_together(tiny_run, tiny_data, capsys):
    code = run(["evaluate", str(tiny_run), str(tiny_data), "--json"])
    out, err = capsys.readouterr()
    assert (code, err) == (0, "")
    data = document(out)
    assert set(data) == EVALUATION | {"model", "rows"}
    assert (data["model"], data["file"], data["rows"], data["truncated"]) == (str(tiny_run), str(tiny_data), 160, 160)
    is_evaluation(data, rows=160, classes=["bad", "good"])
    assert data["leaks"]["rows"] == 128  # what it was trained on
    are_metrics(data["leaks"]["metrics_without"])
    trained = json.loads((tiny_run / "report.json").read_text("utf-8"))
    assert trained["rows"]["train"] == data["leaks"]["rows"]


def test_without_a_row_that_is_new_there_is_no_honest_figure(tiny_run, tiny_data, tmp_path, capsys):
    from scriptchain.data.records import read
    from scriptchain.runtime.bundle import Bundle

    records = read(tiny_data)
    seen = Bundle(tiny_run).saw(records.texts)
    assert records.labels is not None
    rows = [pair for pair, saw in zip(zip(records.texts, records.labels, strict=True), seen, strict=True) if saw]
    assert run(["evaluate", str(tiny_run), str(write(tmp_path / "seen.csv", rows)), "--json"]) == 0
    assert document(capsys.readouterr().out)["leaks"] == {"rows": 128, "metrics_without": None}


def test_what_a_file_was_read_as_is_said_once(tmp_path, capsys):
    rows = "".join(f"{text},{label}\n" for text, label in zip(*generate("negation", "train", 60), strict=True))
    (tmp_path / "rows.csv").write_text(f"sentence,target\n{rows}", "utf-8")
    assert run(["train", str(tmp_path / "rows.csv"), "--output", str(tmp_path / "run"), *SETTINGS]) == 0
    err = capsys.readouterr().err
    assert [err.count(f"{role} column: ") for role in ("text", "label")] == [1, 1]


def test_invariance_is_counted_where_it_is_asked_for(tiny_run, tiny_data, capsys):
    assert run(["evaluate", str(tiny_run), str(tiny_data), "--invariance", "--json"]) == 0
    data = document(capsys.readouterr().out)
    assert set(data) == EVALUATION | {"model", "rows", "invariance"}
    assert list(data["invariance"]) == [
        "typo", "upper case", "lower case", "invisible character", "joiner", "look-alike letter", "final full stop",
    ]  # fmt: skip
    for change in data["invariance"].values():
        assert set(change) == {"texts", "flip_rate", "worst"}
        if change["texts"]:
            is_interval(change["flip_rate"])
            assert len(change["worst"]) == min(5, round(change["flip_rate"]["value"] * change["texts"]))
    assert [data["invariance"][name]["flip_rate"]["value"] for name in ("invisible character", "joiner")] == [0.0, 0.0]
    looked_alike = data["invariance"]["look-alike letter"]
    assert looked_alike["flip_rate"]["value"] > 0
    for flip in looked_alike["worst"]:
        assert run(["predict", str(tiny_run), flip["text"], flip["changed"]]) == 0
        told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert [one["label"] for one in told] == [flip["predicted"], flip["changed_predicted"]]
        assert [one["score"] for one in told] == pytest.approx([flip["score"], flip["changed_score"]], abs=1e-5)
        assert flip["text"] in tiny_data.read_text("utf-8").splitlines()[flip["line"] - 1]
    assert run(["evaluate", str(tiny_run), str(tiny_data), "--invariance"]) == 0
    shown = capsys.readouterr().out
    assert "labels that change" in shown
    assert "surest flips" in shown


def test_two_models_are_compared_on_the_same_rows(tiny_run, tiny_data, capsys):
    code = run(["evaluate", str(tiny_run), str(tiny_run), str(tiny_data), "--json"])
    out, err = capsys.readouterr()
    assert (code, err) == (0, "")
    data = document(out)
    keys = ["file", "rows", "unknown_labels", "models", "difference", "mcnemar_p", "agreement", "verdict"]
    assert list(data) == keys
    for one in data["models"]:
        assert list(one) == ["model", "metrics", "leaked_rows"]
        are_metrics(one["metrics"])
    assert data["models"][0] == data["models"][1]
    assert list(data["difference"]) == ["accuracy", "macro_f1"]
    for figure in data["difference"].values():
        is_interval(figure, -1.0)
        assert figure["value"] == 0
    assert (data["mcnemar_p"], data["agreement"], data["verdict"]) == (1.0, 1.0, "undecided on these rows")


# --- check ---------------------------------------------------------------------------------------------------


def test_check_counts_and_lists_the_first_hundred(tmp_path, capsys):
    # a word of five letters a number, so that no two rows are near each other
    words = ["".join(chr(97 + (number * 7 + place * place) % 26) for place in range(5)) for number in range(26)]
    rows = [(f"{words[n % 26]} {words[(n * 3 + 1) % 26]}x{n}", "ab"[n % 2]) for n in range(200)]
    rows += rows[:150]  # the same text and label again
    rows += [(rows[0][0], "b"), (rows[2][0].upper() + "!", "a")]
    path = write(tmp_path / "rows.csv", rows)
    other = write(tmp_path / "other.csv", [rows[199], ("never seen", "a")])
    code = run(["check", str(path), "--against", str(other), "--json"])
    out, err = capsys.readouterr()
    assert (code, err) == (0, "")
    data = document(out)
    is_check(data, rows=352)
    assert data["duplicates"] == {"count": 151, "rows": list(range(201, 301))}
    assert data["near_duplicates"] == {"count": 1, "rows": [352]}
    assert data["conflicts"] == {"count": 3, "rows": [1, 201, 351]}
    assert data["leaks"] == {"count": 1, "rows": [200]}
    assert data["clean"] is False


def test_check_counts_tokens_with_a_model(tiny_run, tiny_data, capsys):
    assert run(["check", str(tiny_data), "--model", str(tiny_run), "--json"]) == 0
    lengths = document(capsys.readouterr().out)["lengths"]
    assert lengths["unit"] == "tokens"
    assert lengths["median"] > 16  # a tiny vocabulary: many tokens a word


def test_strict_exits_3_after_the_document(tiny_data, capsys):
    assert run(["check", "emotions", "--strict", "--json"]) == 0
    assert document(capsys.readouterr().out)["clean"] is True
    assert run(["check", str(tiny_data), "--strict", "--json"]) == 3
    out, err = capsys.readouterr()
    assert document(out)["clean"] is False
    assert err == f"error: {tiny_data} must be clean under --strict, got findings; hint: see the report above\n"


# --- predict, info, presets ----------------------------------------------------------------------------------


def test_predict_prints_a_line_a_text(tiny_run, capsys):
    assert run(["predict", str(tiny_run), "the food was good", "the food was not good"]) == 0
    out, err = capsys.readouterr()
    lines = [json.loads(line, parse_constant=no_constant) for line in out.splitlines()]
    assert err == ""
    assert [list(line) for line in lines] == [["text", "label", "score"]] * 2
    assert [line["text"] for line in lines] == ["the food was good", "the food was not good"]
    for line in lines:
        assert line["label"] in ("bad", "good")
        assert 0.5 <= line["score"] <= 1


def test_info_prints_one_document(tiny_run, capsys):
    assert run(["info", str(tiny_run), "--json"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    data = document(out)
    assert list(data) == [
        "model", "scriptchain", "format", "classes", "vocabulary", "parameters", "config", "bytes", "rows", "metrics",
        "metrics_split",
    ]  # fmt: skip
    assert (data["model"], data["scriptchain"], data["format"]) == (str(tiny_run), scriptchain.__version__, 1)
    assert (data["classes"], data["vocabulary"], data["metrics_split"]) == (["bad", "good"], 300, "test")
    assert set(data["config"]) == set(KEYS)
    assert data["config"]["num_classes"] == 2
    assert data["bytes"] == {name: (tiny_run / name).stat().st_size for name in FILES}
    are_metrics(data["metrics"])


def test_info_needs_no_report(tiny_run, tmp_path, capsys):
    for name in (*FILES, "manifest.json"):
        shutil.copy(tiny_run / name, tmp_path)
    assert run(["info", str(tmp_path), "--json"]) == 0
    assert not {"rows", "metrics", "metrics_split"} & set(document(capsys.readouterr().out))


def test_presets_prints_every_key_of_each(capsys):
    assert run(["presets", "--json"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    data = document(out)
    assert list(data) == ["presets"]
    assert list(data["presets"]) == ["few", "frozen", "linear", "seed", "small", "static", "tuned"]
    for name, values in data["presets"].items():
        assert (set(values), values["preset"]) == (set(KEYS), name)


def test_a_copied_preset_gives_the_preset_back(tmp_path, capsys):
    from scriptchain import config

    for name in config.preset_names():
        file = tmp_path / f"{name}.toml"
        assert run(["presets", "copy", name, str(file)]) == 0
        out, err = capsys.readouterr()
        assert (out, err) == ("", f"{file} written; scriptchain train FILE --config {file}\n")
        values = config.to_dict(config.resolve(file=file))
        wanted = config.to_dict(config.resolve(name))
        meant = wanted if wanted["model"] == "encoder" else config.LINEAR
        assert {key: values[key] for key in meant if key != "preset"} == {
            key: wanted[key] for key in meant if key != "preset"
        }


def test_people_get_tables_and_programs_get_json(tiny_run, tiny_data, capsys):
    for arguments in (
        ["check", "emotions"],
        ["presets"],
        ["info", str(tiny_run)],
        ["evaluate", str(tiny_run), str(tiny_data)],
    ):
        assert run(arguments) == 0
        out, err = capsys.readouterr()
        assert err == ""
        assert not out.startswith("{")
        assert out.count("\n") > 5
        assert all(line == line.rstrip() for line in out.splitlines())


@pytest.mark.parametrize(
    "arguments", [["--version"], ["--help"], [], ["train", "--help"], ["presets", "copy", "--help"]]
)
def test_help_and_version_are_answers(arguments, capsys):
    assert run(arguments) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.startswith(
        f"scriptchain {scriptchain.__version__}\n" if arguments == ["--version"] else "Usage: scriptchain"
    )
