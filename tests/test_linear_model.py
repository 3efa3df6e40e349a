"""Laws of the linear model as a model of its own: the same commands, the same promises, no network anywhere."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from scriptchain import Classifier, ModelError, NotFittedError, UsageError
from scriptchain.__main__ import run
from scriptchain.data.labels import Labels
from scriptchain.data.records import read
from scriptchain.runtime.linear import Linear
from scriptchain.runtime.session import Session
from scriptchain.scoring.calibration import log_loss

from .refusals import refusal

TEXTS = [
    f"the {word} was {mark}" for word in ("food", "wine", "bread", "soup", "tea", "cake") for mark in ("good", "bad")
]
LABELS = ["pro", "con"] * 6


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    made = tmp_path_factory.mktemp("linear") / "run"
    assert run(["train", "emotions", "--preset", "linear", "--output", str(made), "--quiet"]) == 0
    return made


def test_a_run_folder_holds_the_model_once_and_nothing_of_a_network(folder):
    assert sorted(file.name for file in folder.iterdir()) == [
        "README.md", "baseline.json", "baseline.safetensors", "config.json", "confusion.png",
        "familiarity.safetensors", "fingerprints.bin",
        "history.jsonl", "labels.json", "manifest.json", "report.html", "report.json",
    ]  # fmt: skip
    card = (folder / "README.md").read_text("utf-8")
    assert "TF-IDF of words and characters with logistic regression" in card
    assert "layers" not in card


def test_every_command_takes_it(folder, capsys):
    model = str(folder)
    commands = (["predict", model, "What a day!"], ["info", model], ["evaluate", model, "emotions"],
                ["evaluate", model, model, "emotions"])  # fmt: skip
    for arguments in commands:
        assert run(arguments) == 0, arguments
        assert capsys.readouterr().out


def test_it_answers_as_the_fitted_one_and_as_its_baseline(tmp_path):
    model = Classifier("linear").fit(TEXTS, LABELS, validation=(TEXTS, LABELS))
    model.save_pretrained(tmp_path / "run")
    loaded = Classifier.from_pretrained(tmp_path / "run")
    assert loaded.config.model == "linear"
    texts = [*TEXTS, "?", "nothing of it", "x" * 9_000]
    np.testing.assert_array_equal(loaded.predict_proba(texts), model.predict_proba(texts))
    assert loaded.predict(texts).tolist() == model.predict(texts).tolist()
    session = Session(tmp_path / "run")
    np.testing.assert_allclose(session.baseline_logits(texts), session.logits(texts), atol=1e-6)
    assert session.saw(texts).tolist() == [True] * len(TEXTS) + [False] * 3
    assert session.count_truncated(texts) == 0


def test_the_temperature_is_of_the_validation_rows_and_changes_no_answer():
    rows = read("emotions")
    held_out = rows.subset(range(60, 100))
    model = Classifier("linear")
    outcome = model.fit_records(rows.subset(range(60)), validation=held_out)
    assert outcome.temperature != 1
    truth = Labels.from_names(rows.labels).index(held_out.labels)
    scaled = Linear.load(*(model.files()[f"baseline.{kind}"] for kind in ("safetensors", "json")))
    plain = scaled.divided(1 / outcome.temperature)
    np.testing.assert_allclose(plain.logits(TEXTS), scaled.logits(TEXTS) * outcome.temperature, rtol=1e-5, atol=1e-6)
    losses = [log_loss(linear.probabilities(held_out.texts), truth) for linear in (scaled, plain)]
    assert losses[0] < losses[1]
    assert losses[1] == pytest.approx(outcome.history[0]["validation_loss"], rel=1e-5)


def test_weights_of_rows_and_classes_count():
    texts, labels = ["good", "good", "good", "bad"], ["pro", "pro", "con", "con"]
    scores = [
        Classifier("linear", patience=0).fit(texts, labels, sample_weight=weights).predict_proba(["good"])[0, 1]
        for weights in ([1.0, 1.0, 1.0, 1.0], [9.0, 9.0, 1.0, 1.0])
    ]
    assert scores[1] > scores[0]
    heavy = (
        Classifier("linear", patience=0, class_weights={"pro": 9.0}).fit(texts, labels).predict_proba(["good"])[0, 1]
    )
    assert heavy > scores[0]


def test_the_same_seed_gives_the_same_bytes(folder, tmp_path):
    assert run(["train", "emotions", "--preset", "linear", "--output", str(tmp_path / "again"), "--quiet"]) == 0
    for name in ("manifest.json", "baseline.safetensors", "config.json"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()


def test_repeats_and_resume_work_as_for_any_model(tmp_path, capsys):
    output = str(tmp_path / "runs")
    arguments = ["train", "emotions", "--preset", "linear", "--output", output, "--repeats", "2", "--quiet", "--json"]
    assert run(arguments) == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["seed"] for one in found["runs"]] == [0, 1]
    assert run([*arguments, "--resume"]) == 0
    assert json.loads(capsys.readouterr().out)["metrics"] == found["metrics"]


def test_it_predicts_without_torch_and_without_scikit_learn(folder):
    code = (
        "import sys\n"
        "for name in ('torch', 'sklearn', 'onnxruntime'): sys.modules[name] = None\n"
        "from scriptchain.__main__ import run\n"
        f"raise SystemExit(run(['predict', {str(folder)!r}, 'What a day!']))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")


def test_what_needs_tokens_or_layers_refuses_it(folder, tmp_path, capsys):
    line = f"{folder} must hold an encoder, which has tokens and layers, got a linear model"
    assert refusal(tmp_path, capsys, "diagnose", folder) == (4, line)
    assert refusal(tmp_path, capsys, "check", "emotions", "--model", folder) == (4, line)


def test_a_linear_recipe_has_no_network_and_is_no_student(folder, tmp_path, capsys):
    model = Classifier("linear", patience=0).fit(TEXTS, LABELS)
    with pytest.raises(NotFittedError) as caught:
        _ = model.network_
    assert str(caught.value) == "network_ must be asked of an encoder, got a linear model"
    with pytest.raises(UsageError) as refused:
        Classifier("linear", patience=0).fit(TEXTS, LABELS, teacher=model)
    assert str(refused.value) == "a student must learn by steps, got a linear or frozen model; hint: --student small"


def test_a_baseline_of_other_classes_is_refused(folder, tmp_path):
    from scriptchain.runtime import bundle

    other = Classifier("linear", patience=0).fit(TEXTS, LABELS).files()
    files = {file.name: file.read_bytes() for file in folder.iterdir() if file.name in bundle.FILES}
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    bundle.write(mixed, files | {name: other[name] for name in ("baseline.json", "baseline.safetensors")})
    with pytest.raises(ModelError) as caught:
        Session(mixed)
    assert str(caught.value) == "the baseline must score 4 classes, got 2"
