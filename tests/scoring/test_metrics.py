"""Law: every figure equals scikit-learn's on the same rows, and a batch of matrices equals the matrices one by one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, precision_recall_fscore_support

from scriptchain.errors import DataError
from scriptchain.scoring.metrics import accuracy, confusion, macro_f1, per_class

LABEL = st.integers(0, 4)
ROWS = st.lists(st.tuples(LABEL, LABEL), min_size=1, max_size=40)  # few enough that classes are often missing
CLASSES = range(5)


def columns(rows: list[tuple[int, int]]) -> tuple[list[int], list[int]]:
    return [truth for truth, _ in rows], [predicted for _, predicted in rows]


@given(ROWS)
@settings(deadline=None)
def test_every_figure_is_that_of_scikit_learn(rows):
    truth, predicted = columns(rows)
    cells = confusion(truth, predicted, 5)
    assert cells.dtype == np.int64
    np.testing.assert_array_equal(cells, confusion_matrix(truth, predicted, labels=CLASSES))
    assert accuracy(cells) == pytest.approx(accuracy_score(truth, predicted))
    assert macro_f1(cells) == pytest.approx(f1_score(truth, predicted, average="macro", zero_division=0))
    oracle = precision_recall_fscore_support(truth, predicted, labels=CLASSES, zero_division=0)
    for ours, theirs in zip(per_class(cells), oracle, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-12)


@given(st.lists(ROWS, min_size=4, max_size=4))
@settings(deadline=None, max_examples=30)
def test_a_batch_is_its_matrices_one_by_one(batch):
    singles = [confusion(*columns(rows), 5) for rows in batch]
    stacked = np.stack(singles).reshape(2, 2, 5, 5)
    for metric in (accuracy, macro_f1):
        np.testing.assert_array_equal(metric(stacked).ravel(), [metric(cells) for cells in singles])
    np.testing.assert_array_equal(per_class(stacked).f1.reshape(4, 5), [per_class(cells).f1 for cells in singles])


def test_no_rows_have_no_accuracy():
    cells = confusion([], [], 3)
    assert cells.shape == (3, 3)
    assert np.isnan(accuracy(cells))
    assert np.isnan(macro_f1(cells))
    assert per_class(cells).f1.tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("truth", "predicted", "message"),
    [
        ([0, 3], [0, 1], "truth must be class indices from 0 to 2, got 3"),
        ([0, 1], [0, -1], "predicted must be class indices from 0 to 2, got -1"),
        ([0, 1], [0], "predicted must have as many rows as truth (2), got 1"),
        ([0.0, 1.0], [0, 1], "truth must be one row of class indices, got float64 of shape (2,)"),
        ([[0, 1]], [0, 1], "truth must be one row of class indices, got int64 of shape (1, 2)"),
    ],
)
def test_labels_that_cannot_be_counted_are_refused(truth, predicted, message):
    with pytest.raises(DataError) as error:
        confusion(truth, predicted, 3)
    assert str(error.value) == message
