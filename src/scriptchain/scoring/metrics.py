"""Accuracy, macro-F1 and the figures of each class, all from the confusion matrix.

Leading batch axes are allowed everywhere, so that a bootstrap evaluates thousands of matrices without a loop.
"""

from collections.abc import Sized
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import DataError


class PerClass(NamedTuple):
    """The figures of each class, every array (..., C); `support` counts the rows of the class."""

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]
    support: NDArray[np.int64]


def as_labels(values: ArrayLike, num_classes: int, name: str) -> NDArray[np.int64]:
    """Class indices as int64 (N,).

    Raises: DataError for anything that is not one row of integers in [0, num_classes).
    """
    labels = np.asarray(values)
    if labels.ndim != 1 or (labels.size and labels.dtype.kind not in "iu"):
        raise DataError(f"{name} must be one row of class indices, got {labels.dtype} of shape {labels.shape}")
    outside = labels[(labels < 0) | (labels >= num_classes)]
    if outside.size:
        raise DataError(f"{name} must be class indices from 0 to {num_classes - 1}, got {outside[0]}")
    return labels.astype(np.int64, copy=False)


def same_rows(**columns: Sized) -> int:
    """The number of rows that all columns share.

    Raises: DataError where two columns disagree.
    """
    (first, reference), *others = columns.items()
    for name, column in others:
        if len(column) != len(reference):
            raise DataError(f"{name} must have as many rows as {first} ({len(reference)}), got {len(column)}")
    return len(reference)


def confusion(truth: ArrayLike, predicted: ArrayLike, num_classes: int) -> NDArray[np.int64]:
    """Rows counted as (C, C), indexed [truth, predicted]."""
    truth_N = as_labels(truth, num_classes, "truth")
    predicted_N = as_labels(predicted, num_classes, "predicted")
    same_rows(truth=truth_N, predicted=predicted_N)
    cells = np.bincount(truth_N * num_classes + predicted_N, minlength=num_classes**2)
    return cells.reshape(num_classes, num_classes).astype(np.int64)


def accuracy(cells: NDArray[Any]) -> NDArray[np.float64]:
    """The share of right rows, (..., C, C) -> (...); NaN where there are no rows."""
    return ratio(np.trace(cells, axis1=-2, axis2=-1), cells.sum(axis=(-2, -1)), empty=np.nan)


def macro_f1(cells: NDArray[Any]) -> NDArray[np.float64]:
    """The mean F1 over the classes that occur in truth or predictions, (..., C, C) -> (...).

    A class that is only predicted, or never found, counts 0; a class that occurs nowhere does not count at all; NaN
    where there are no rows. Equals scikit-learn's f1_score(average="macro", zero_division=0) with its default labels.
    """
    return mean_f1(*_margins(cells))


def per_class(cells: NDArray[Any]) -> PerClass:
    """Precision, recall, F1 and support of each class, (..., C, C) -> (..., C); a share of nothing is 0."""
    hits, support, predicted = _margins(cells)
    return PerClass(ratio(hits, predicted), ratio(hits, support), ratio(2 * hits, support + predicted), support)


def mean_f1(hits: NDArray[Any], support: NDArray[Any], predicted: NDArray[Any]) -> NDArray[np.float64]:
    """Macro-F1 from right rows, true rows and predicted rows of each class, each (..., C) -> (...)."""
    rows = support + predicted
    return ratio(ratio(2 * hits, rows).sum(axis=-1), (rows > 0).sum(axis=-1), empty=np.nan)


def ratio(part: ArrayLike, whole: ArrayLike, empty: float = 0.0) -> NDArray[np.float64]:
    """`part / whole`, or `empty` where the whole is 0; an array even without axes."""
    quotient = np.full(np.shape(whole), empty)
    return np.divide(part, whole, out=quotient, where=np.asarray(whole) > 0)


def _margins(cells: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    return np.diagonal(cells, axis1=-2, axis2=-1), cells.sum(axis=-1), cells.sum(axis=-2)
