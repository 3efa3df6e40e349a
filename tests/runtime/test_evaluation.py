"""Laws of the score: it equals scikit-learn's, counts leaks, measures order, and is fair to the baselines."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, classification_report, f1_score

from scriptchain.data.labels import Labels
from scriptchain.data.records import from_python
from scriptchain.errors import DataError, ModelError, UsageError
from scriptchain.report import Table
from scriptchain.runtime.evaluation import compare, evaluate

NAMES = ("ant", "bee", "cat")


class Scripted:
    """A model whose answers are in the texts: `bee 0.9 | ...` says bee with logit 0.9; order matters if told so."""

    def __init__(self, names=NAMES, seen=(), reads_order=False):
        self.labels, self.seen, self.reads_order = Labels(tuple(names)), set(seen), reads_order

    def logits(self, texts):
        rows = np.zeros((len(texts), len(self.labels.names)), np.float32)
        for row, text in enumerate(texts):
            words = [word for word in text.split() if word in self.labels.names]
            rows[row, self.labels.names.index(words[0] if self.reads_order else sorted(words)[0])] = 2.0
        return rows

    def baseline_logits(self, texts):
        return np.tile(np.array([1.0, 0.0, 0.0]), (len(texts), 1))

    held_out = None

    def surprise(self, texts):
        return np.zeros(len(texts))

    def saw(self, texts):
        return np.array([text in self.seen for text in texts])

    def count_truncated(self, texts):
        return sum(len(text.split()) > 4 for text in texts)


def some_rows(n: int = 60):
    rng = np.random.default_rng(0)
    truth = [NAMES[i] for i in rng.integers(3, size=n)]
    said = [t if rng.random() < 0.7 else NAMES[rng.integers(3)] for t in truth]
    return [f"{name} number {row}" for row, name in enumerate(said)], truth, said


def test_scores_equal_scikit_learn():
    texts, truth, said = some_rows()
    data = evaluate(Scripted(), from_python(texts, truth), name="m").data
    assert data["metrics"]["accuracy"]["value"] == pytest.approx(accuracy_score(truth, said))
    assert data["metrics"]["macro_f1"]["value"] == pytest.approx(f1_score(truth, said, average="macro"))
    oracle = classification_report(truth, said, output_dict=True)
    for name in NAMES:
        ours = data["per_class"][name]
        assert ours == pytest.approx({**{k: oracle[name][k] for k in ("precision", "recall")},
                                      "f1": oracle[name]["f1-score"], "support": oracle[name]["support"]})  # fmt: skip
    majority = max(map(truth.count, NAMES)) / len(truth)
    assert data["baselines"]["majority"]["accuracy"]["value"] == pytest.approx(majority)
    assert data["baselines"]["tfidf_lr"]["accuracy"]["value"] == pytest.approx(truth.count("ant") / len(truth))
    lead = data["baselines"]["tfidf_lr"]["difference"]["accuracy"]
    assert lead["value"] == pytest.approx(data["metrics"]["accuracy"]["value"] - truth.count("ant") / len(truth))
    assert lead["low"] > 0


def test_leaked_rows_are_counted_and_taken_out():
    texts, truth, said = some_rows()
    seen = [text for text, t, s in zip(texts, truth, said, strict=True) if t == s][:20]
    data = evaluate(Scripted(seen=seen), from_python(texts, truth), name="m").data
    left = [(t, s) for text, t, s in zip(texts, truth, said, strict=True) if text not in seen]
    assert data["leaks"]["rows"] == 20
    assert data["leaks"]["metrics_without"]["accuracy"]["value"] == pytest.approx(np.mean([t == s for t, s in left]))
    everything = evaluate(Scripted(seen=texts), from_python(texts, truth), name="m").data
    assert everything["leaks"] == {"rows": 60, "metrics_without": None}


def test_order_is_two_things():
    texts = [f"{a} eats {b}" for a in NAMES for b in NAMES if a != b] * 5
    truth = [text.split()[0] for text in texts]
    reads = evaluate(Scripted(reads_order=True), from_python(texts, truth), name="m").data
    ignores = evaluate(Scripted(), from_python(texts, truth), name="m").data
    assert reads["metrics"]["accuracy"]["value"] == 1.0
    assert reads["data_needs_order"]["low"] > 10
    assert reads["model_uses_order"]["flip_rate"] > 0.2
    assert ignores["data_needs_order"]["value"] == 0
    assert ignores["model_uses_order"] == {"flip_rate": 0.0, "logit_distance": 0.0}


def test_the_worst_errors_are_errors_and_name_their_line():
    texts, truth, said = some_rows()
    data = evaluate(Scripted(), from_python(texts, truth), name="m").data
    assert 0 < len(data["worst_errors"]) <= 10
    for error in data["worst_errors"]:
        row = error["line"] - 1
        assert (error["text"], error["label"], error["predicted"]) == (texts[row], truth[row], said[row])
        assert error["label"] != error["predicted"]


def test_a_model_behind_the_baseline_is_told_so():
    texts, truth = ["bee x", "bee y", "bee z", "cat w"], ["ant", "ant", "ant", "cat"]
    body = evaluate(Scripted(), from_python(texts, truth), name="m").body
    assert any(isinstance(part, str) and "TF-IDF + logistic regression" in part for part in body)
    better = evaluate(Scripted(), from_python(["cat a", "bee b"] * 9, ["cat", "bee"] * 9), name="m").body
    assert not any(isinstance(part, str) and part.startswith("note: TF-IDF") for part in better)


def test_truncated_texts_are_counted():
    data = evaluate(Scripted(), from_python(["ant a b c d e", "bee"], ["ant", "bee"]), name="m").data
    assert data["truncated"] == 1


def test_comparison_is_paired_and_signed():
    texts = [f"{a} eats {b}" for a in NAMES for b in NAMES if a != b] * 5
    records = from_python(texts, [text.split()[0] for text in texts])
    report = compare([("reads", Scripted(reads_order=True)), ("ignores", Scripted())], records)
    assert report["verdict"] == "A is better"
    assert report["difference"]["accuracy"]["low"] > 0
    assert report["mcnemar_p"] < 0.01
    turned = compare([("ignores", Scripted()), ("reads", Scripted(reads_order=True))], records)
    assert turned["verdict"] == "B is better"
    assert turned["difference"]["accuracy"]["value"] == -report["difference"]["accuracy"]["value"]
    same = compare([("a", Scripted()), ("b", Scripted())], records)
    assert same["verdict"] == "undecided on these rows"
    assert isinstance(same.body[0], Table)


def test_models_of_other_classes_are_not_compared():
    records = from_python(["ant"], ["ant"])
    with pytest.raises(ModelError) as caught:
        compare([("a", Scripted()), ("b", Scripted(names=("ant", "bee")))], records)
    assert str(caught.value) == ("two models must have the same classes to be compared, got ant, bee, cat and ant, bee")


def test_how_sure_is_sure_enough_is_a_table_or_a_sentence():
    texts, truth, said = some_rows(400)
    right = [text for text, t, s in zip(texts, truth, said, strict=True) if t == s]
    answers = [text.split()[0] for text in right]
    (table,) = (part for part in evaluate(Scripted(), from_python(right, answers), name="m").body
                if isinstance(part, Table) and part.title == "sure enough")  # fmt: skip
    assert [row[0] for row in table.rows] == ["80.0 %", "90.0 %", "95.0 %", "99.0 %"]
    assert table.rows[0][2] == "100.0 %"
    assert table.rows[3][1] == "these rows do not show it"
    few = evaluate(Scripted(), from_python(texts[:9], truth[:9]), name="m").body
    assert "sure enough: no score shows on these rows that 80.0 % of the answers are right" in few
    assert "label sets: too few rows to choose a threshold on one half and measure it on the other" in few


def test_label_sets_are_told_with_what_they_are_worth():
    texts, truth, _ = some_rows(400)
    report = evaluate(Scripted(), from_python(texts, truth), name="m")
    (line,) = (part for part in report.body if isinstance(part, str) and part.startswith("label sets: "))
    found = report["label_sets"]
    assert found["measured"] >= 0.85
    assert f"{found['mean_size']:.2f} labels a text" in line
    assert f"chosen on half of these rows {100 * found['measured']:.1f} %" in line


def test_rows_without_labels_or_with_unknown_ones_are_refused():
    with pytest.raises(DataError, match="texts must have labels to be evaluated; hint: --label-column NAME"):
        evaluate(Scripted(), from_python(["ant"]), name="m")
    with pytest.raises(DataError, match="dog"):
        evaluate(Scripted(), from_python(["ant"], ["dog"]), name="m")
    with pytest.raises(UsageError, match="unknown_labels must be error or skip, got all"):
        evaluate(Scripted(), from_python(["ant"], ["ant"]), name="m", unknown_labels="all")
