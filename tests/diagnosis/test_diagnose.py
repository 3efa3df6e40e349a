"""From a target's name to a diagnosis: whose rows are whose, what is trained when asked, what is refused first."""

import numpy as np
import pytest

from scriptchain import config
from scriptchain.data.records import from_python, read
from scriptchain.diagnosis import diagnose, judge_claim
from scriptchain.diagnosis.subject import subject_of
from scriptchain.diagnosis.texts import training_task, vocabulary
from scriptchain.errors import UsageError

TINY = [
    "d_model=16", "num_heads=2", "d_feedforward=32", "epochs=2", "max_seq_len=16", "vocab_size=300", "tokenizer=bpe",
    "positions=learned", "residual=post_norm", "num_layers=12",
]  # fmt: skip


def texts_of(batches) -> int:
    return sum(len(batch.mask) for batch in batches)


def test_rows_that_a_run_learned_from_are_told_from_others(tiny_run, tiny_data):
    """The run trained on 80 % of its file; each row is on the side of its fingerprint."""
    rows = read(tiny_data)
    other = from_python([f"{text} by the way" for text in rows.texts], rows.labels, labels_required=True)
    both = from_python(rows.texts + other.texts, (rows.labels or []) + (other.labels or []), labels_required=True)
    own, mixed, foreign = (subject_of(str(tiny_run), given, 10_000, 0) for given in (rows, both, other))
    assert texts_of(own.batches) + texts_of(own.held_out) == len(rows)
    assert texts_of(own.batches) > texts_of(own.held_out) > 0
    assert texts_of(mixed.batches) + texts_of(mixed.held_out) == 2 * len(rows)
    assert texts_of(foreign.batches) == len(rows)
    assert foreign.held_out == []


def test_labels_that_a_run_does_not_know_are_not_used(tiny_run, tiny_data):
    rows = read(tiny_data)
    strange = from_python(rows.texts, ["another"] * len(rows), labels_required=True)
    subject = subject_of(str(tiny_run), strange, 64, 0)
    assert all(batch.labels is None for batch in subject.batches)


def test_a_run_is_judged_for_what_only_training_shows(tiny_run, tiny_data):
    found = diagnose(str(tiny_run), rows=read(tiny_data))
    for name in ("overfitting", "cannot_train", "dead_layers"):
        assert found["initial"]["verdicts"][name]["says"].startswith("needs trained weights")
        assert not found["verdicts"][name]["says"].startswith("needs trained weights")
    assert found["cost"]["flops"]["by_layer"]
    assert found["cost"]["memory"]["depth"]["law"] == "linear"
    assert found["verdicts"]["cost_exponential"]["state"] == "DOES NOT HOLD"  # by the grid: one layer says nothing


def test_short_texts_do_not_come_first():
    """What is measured on some of the batches must not be measured on short texts alone."""
    rows = from_python([" ".join(["word"] * length) for length in np.repeat(np.arange(1, 15), 32)])
    words = vocabulary(config.resolve("small", settings=TINY), rows)
    widths = [batch.mask.shape[1] for batch in words.batches(rows)]
    assert sorted(set(widths)) == list(range(1, 15))
    assert widths != sorted(widths)


def test_parts_of_a_task_share_no_row(tiny_data):
    rows = read(tiny_data)
    task, batches = training_task(config.resolve("small", settings=TINY), rows, 0)
    sizes = [len(part.ids) for part in (task.train, task.choose, task.score)]
    assert sum(sizes) == len(rows)
    assert sizes[0] > 4 * sizes[1] > 0
    assert texts_of(batches) == min(64, sizes[0])


def test_depths_are_trained_only_within_a_budget(tiny_data):
    settings = [*TINY, "epochs=1"]
    found = diagnose("small", rows=read(tiny_data), settings=settings, depths=[1, 2], texts=48)
    assert [one["num_layers"] for one in found["depths"]] == [1, 2]
    assert "curves" not in found.data
    found = diagnose("small", rows=read(tiny_data), settings=settings, depths=[1, 2], texts=48, minutes=5.0)
    assert [one["depth"] for one in found["curves"]["points"]] == [1, 2]


@pytest.mark.slow  # trials/test_trials.py takes a cure from plan to report in every run
def test_a_cure_is_tried_and_told(tiny_data):
    lines = []
    found = diagnose("small", rows=read(tiny_data), settings=TINY, cure=True, texts=48, progress=lines.append)
    assert found["verdicts"][found["cure"]["followed"]]["state"] == "HOLDS"
    assert {arm["kind"] for arm in found["cure"]["arms"]} == {"as it is", "no change", "random", "remedy", "shallower"}
    assert any("finals" in line and "left" in line for line in lines)


def test_where_nothing_can_be_cured_nothing_is_trained(tiny_data):
    healthy = [*TINY, "residual=pre_norm", "num_layers=1"]
    found = diagnose("small", rows=read(tiny_data), settings=healthy, cure=True, texts=48)
    assert found["cure"] is None
    assert "nothing that holds has a remedy here: nothing was trained" in found.body


def test_training_without_labels_is_refused_before_anything_is_measured():
    lines = []
    rows = from_python(["a text", "another text"] * 30)
    for asked in ({"cure": True}, {"depths": [1, 2], "minutes": 1.0}):
        with pytest.raises(UsageError, match="training must have labelled texts, got none"):
            diagnose("seed", rows=rows, progress=lines.append, **asked)
    assert lines == []


def test_overfitting_is_a_claim_too(tiny_data):
    found = judge_claim(
        "Overfitting grows with layers", "small", rows=read(tiny_data), settings=[*TINY, "epochs=1"], depths=[1, 2]
    )
    assert found["verdict"] == "UNDECIDED"  # one epoch learns nothing
    assert [one["depth"] for one in found["points"]] == [1, 2]
