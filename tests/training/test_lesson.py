"""Laws of distillation: what the student is taught, what it must not be taught, and that it learns it."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from scriptchain import Classifier, DataError, UsageError, report
from scriptchain.__main__ import run
from scriptchain.data.records import from_python, read
from scriptchain.run import make_splits
from scriptchain.training.lesson import SHARE, lesson

from ..refusals import refusal
from ..tiny import TINY


class Rule:
    """A teacher that knows one thing: a text with a z is yes."""

    classes_ = np.array(["yes", "no"])  # another order than that of the names

    def predict_proba(self, texts):
        return np.array([[0.9, 0.1] if "z" in text else [0.2, 0.8] for text in texts])


ROWS = from_python(["a zebra", "a cow", "a dog"], ["yes", "no", "yes"], labels_required=True)


def test_targets_are_the_teachers_answers_in_the_order_of_the_names():
    told = lesson(Rule(), ROWS, ["buzz", "moo"])
    np.testing.assert_allclose(told.targets.sum(1), 1, atol=1e-6)
    np.testing.assert_allclose(told.targets[3:], [[0.1, 0.9], [0.8, 0.2]], atol=1e-6)
    assert told.rows.texts == ["a zebra", "a cow", "a dog", "buzz", "moo"]
    assert told.rows.labels == ["yes", "no", "yes", "yes", "no"]


def test_a_labelled_row_is_taught_its_label_in_part():
    told = lesson(Rule(), ROWS)
    expected = SHARE * np.array([[0, 1], [1, 0], [0, 1]]) + (1 - SHARE) * np.array([[0.1, 0.9], [0.8, 0.2], [0.8, 0.2]])
    np.testing.assert_allclose(told.targets, expected, atol=1e-6)


def test_a_text_is_asked_once_whatever_its_case_and_the_first_spelling_stays():
    told = lesson(Rule(), ROWS, ["A COW!", "Buzz", "buzz.", "moo"])
    assert told.rows.texts[3:] == ["Buzz", "moo"]


def test_a_teacher_of_other_classes_is_refused():
    rows = from_python(["a", "b"], ["yes", "maybe"], labels_required=True)
    with pytest.raises(DataError) as caught:
        lesson(Rule(), rows)
    assert str(caught.value) == "the teacher must know the classes of the rows, maybe, yes, got yes, no"


def test_what_does_not_answer_is_no_teacher():
    with pytest.raises(UsageError) as caught:
        Classifier("seed").fit(["a", "b"], ["yes", "no"], teacher="large")
    assert str(caught.value) == "teacher must have predict_proba and classes_, got str"


def test_progress_tells_rate_and_time_left(capsys, monkeypatch):
    monkeypatch.setattr(report, "SILENT", -1.0)
    lesson(Rule(), ROWS, [f"text {number}" for number in range(1100)], sys.stderr)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(" texts")[0] for line in lines] == [
        f"the teacher answered {done} of 1,103" for done in ("256", "512", "768", "1,024", "1,103")
    ]  # fmt: skip
    assert all("/s, about " in line and line.endswith(" left") for line in lines)


def test_a_student_learns_from_unlabelled_texts_what_no_label_says():
    """Five labelled texts say nothing of z; the teacher's answers to others do."""
    rng = np.random.default_rng(0)
    words = ["cat", "dog", "sun", "sky", "buzz", "zinc", "red", "tea", "zoo", "sea"]
    texts = [" ".join(rng.choice(words, 3)) for _ in range(600)]
    truth = ["yes" if "z" in text else "no" for text in texts]
    few, new = [0, *[truth.index(other) for other in {"yes", "no"} - {truth[0]}], 5, 6], slice(400, 600)
    settings = {setting.split("=")[0]: setting.split("=")[1] for setting in TINY if "tokenizer" not in setting}
    recipe = {key: int(value) for key, value in settings.items()} | {
        "epochs": 12, "patience": 0, "min_frequency": 1, "learning_rate": 5e-3,
    }  # fmt: skip
    labelled = [texts[row] for row in few], [truth[row] for row in few]
    alone = Classifier(**recipe).fit(*labelled)
    taught = Classifier(**recipe).fit(*labelled, teacher=Rule(), unlabelled=texts[:400])
    scores = [model.score(texts[new], truth[new]) for model in (alone, taught)]
    assert scores[1] > 0.95
    assert scores[1] > scores[0] + 0.1


# --- the command line ----------------------------------------------------------------------------------------


def words(settings) -> list[str]:
    return [word for setting in settings for word in ("--set", setting)]


@pytest.fixture(scope="module")
def teacher(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("teacher") / "run"
    assert run(["train", "emotions", "--output", str(folder), "--quiet", *words(TINY)]) == 0
    return folder


def test_distill_is_train_with_a_teacher_and_the_run_says_so(teacher, tmp_path, capsys):
    unlabelled = tmp_path / "more.txt"
    unlabelled.write_text("one more text\nand another one\n", encoding="utf-8")
    common = ["--seed", "0", "--quiet", *words(TINY), "--unlabelled", str(unlabelled)]
    one, other = tmp_path / "one", tmp_path / "other"
    assert run(["distill", str(teacher), "--data", "emotions", "--student", "seed", "--output", str(one), *common]) == 0
    assert (
        run(["train", "emotions", "--teacher", str(teacher), "--preset", "seed", "--output", str(other), *common]) == 0
    )
    capsys.readouterr()
    assert (one / "model.safetensors").read_bytes() == (other / "model.safetensors").read_bytes()
    assert (one / "model.safetensors").read_bytes() != (teacher / "model.safetensors").read_bytes()
    assert '"distilled": {\n  "unlabelled": 2\n }' in (one / "report.json").read_text("utf-8")
    assert "on the answers of a teacher, to 2 unlabelled texts too" in (one / "README.md").read_text("utf-8")


def test_a_teacher_that_learned_from_the_test_rows_is_refused(teacher, tmp_path, capsys):
    code, line = refusal(tmp_path, capsys, "distill", teacher, "--data", "emotions", "--seed", "1", "--quiet",
                         "--output", tmp_path / "run", *words(TINY))  # fmt: skip
    assert code == 3
    assert line.startswith("the teacher must not have learned from the test rows, got ")
    assert line.endswith(
        "that stand in its training set; hint: the file, --seed, --validation and --test that it was trained with"
    )


def test_unlabelled_texts_of_the_test_are_left_out_and_told(teacher, tmp_path, capsys):
    splits = make_splits(read("emotions"), None, None, 0)
    unlabelled = tmp_path / "more.csv"
    unlabelled.write_text(f'text\n"{splits.test.texts[0].upper()}"\nsomething else\n', encoding="utf-8")
    capsys.readouterr()
    assert run(["distill", str(teacher), "--data", "emotions", "--seed", "0", "--output", str(tmp_path / "run"),
                "--unlabelled", str(unlabelled), *words(TINY)]) == 0  # fmt: skip
    err = capsys.readouterr().err
    assert "1 unlabelled texts are left out: they stand in validation or test\n" in err
    assert '"unlabelled": 1' in (tmp_path / "run" / "report.json").read_text("utf-8")


def test_an_unlabelled_file_without_texts_is_refused(teacher, tmp_path, capsys):
    (tmp_path / "more.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    code, line = refusal(tmp_path, capsys, "distill", teacher, "--data", "emotions", "--seed", "0", "--quiet",
                         "--output", tmp_path / "run", "--unlabelled", tmp_path / "more.csv", *words(TINY))  # fmt: skip
    assert (code, line.split(";")[0]) == (3, f"{tmp_path / 'more.csv'}:1: no column 'text' among 'a', 'b'")


def test_soft_targets_are_not_smoothed_again_unless_somebody_says_so(teacher, tmp_path):
    common = ["--data", "emotions", "--student", "small", "--seed", "0", "--quiet", *words([*TINY, "epochs=1"])]
    for name, more, smoothing in (("plain", [], 0), ("told", ["label_smoothing=0.3"], 0.3)):
        output = tmp_path / name
        assert run(["distill", str(teacher), "--output", str(output), *common, *words(more)]) == 0
        assert json.loads((output / "config.json").read_text("utf-8"))["label_smoothing"] == smoothing
