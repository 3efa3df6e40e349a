"""The names of the classes: an order that does not depend on the data's, and nothing unknown gets an index (D14)."""

# ruff: noqa: N802 - a test is named after its row of the fault catalogue

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scriptchain.data.labels import Labels
from scriptchain.errors import DataError, ModelError

NAMES = st.lists(st.text(st.characters(exclude_categories=["Cs"])).filter(str.strip), min_size=1, max_size=9)


@given(NAMES, st.randoms())
def test_the_order_of_the_rows_does_not_matter(names, random):
    shuffled = random.sample(names, len(names))
    assert Labels.from_names(shuffled) == Labels.from_names(names)
    assert list(Labels.from_names(names)) == sorted(set(names))


@given(NAMES)
def test_an_index_leads_back_to_the_name(names):
    labels = Labels.from_names(names)
    index = labels.index(names)
    assert index.dtype == np.int64
    assert [labels.names[place] for place in index] == names
    assert len(labels) == len(set(names))


def test_what_is_written_is_read_in_its_order():
    labels = Labels(("z", "a", "Größe", "<b>", "=1+1", "日本"))
    assert Labels.from_names_in_order(json.loads(labels.to_json())) == labels
    assert json.loads(labels.to_json()) == list(labels)


def test_D14_an_unknown_label_is_listed_with_its_count_and_never_an_index():
    labels = Labels.from_names(["a", "b"])
    with pytest.raises(DataError) as caught:
        labels.index(["a", "x\n", "B", "x\n"])
    assert (
        caught.value.message
        == "labels must be among the 2 classes of the model, got 'x\\\\u000a' (2 rows), 'B' (1 row)"
    )
    assert caught.value.hint == "train on these labels too, or correct the file"
    with pytest.raises(DataError, match=r"'c0' \(1 row\), .*, 'c4' \(1 row\) and 3 more; hint"):
        labels.index([f"c{number}" for number in range(8)])


NOT_LABELS = [["a", "a"], ["a", ""], ["a", " "], ["a", 1], [], {}, "ab", None]


@pytest.mark.parametrize("document", NOT_LABELS, ids=str)
def test_labels_that_no_model_can_have_are_refused(document):
    with pytest.raises(ModelError) as caught:
        Labels.from_names_in_order(document)
    assert caught.value.message == "labels.json must be a JSON list of distinct, not empty strings"
