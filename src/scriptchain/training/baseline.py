"""Fits the linear baseline with scikit-learn; what comes back is scored by numpy alone (`runtime/linear.py`)."""

import warnings
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import DataError
from ..runtime.linear import Analyzer, Linear
from ..scoring.metrics import as_labels, confusion, macro_f1, same_rows

_STRENGTHS = (1.0, 10.0, 30.0)  # scikit-learn's C, the inverse of the penalty
_DEFAULT_STRENGTH = 10.0
_STEPS = 1_000
_NEVER = -30.0  # logits are centered, so the likeliest is 0 or more: this is a probability under 1e-13


def fit_baseline(
    texts: Sequence[str],
    labels: ArrayLike,
    num_classes: int,
    validation: tuple[Sequence[str], ArrayLike] | None = None,
    seed: int = 0,
    max_features: int = 100_000,
    sample_weight: ArrayLike | None = None,
) -> Linear:
    """TF-IDF and logistic regression on texts and class indices (N,), the penalty chosen by validation macro-F1.

    A class without rows keeps a probability near 0. Where no text has a word, or all rows have one class, the baseline
    is the share of each class. Rows of weight 0 are left out.

    Raises: DataError where rows, labels or weights do not fit each other, or no row is left.
    """
    weights_N = _weights(sample_weight, len(texts))
    labels_N = as_labels(labels, num_classes, "labels")
    same_rows(texts=texts, labels=labels_N)
    kept = np.flatnonzero(weights_N).tolist()
    if not kept:
        raise DataError("texts must hold at least one row of positive weight, got none")
    texts, labels_N, weights_N = [texts[row] for row in kept], labels_N[kept], weights_N[kept]
    analyzer = Analyzer()
    if len(np.unique(labels_N)) == 1 or not any(any(analyzer.ngrams(text)) for text in texts):
        return _majority(labels_N, weights_N, num_classes, analyzer)
    strengths = (_DEFAULT_STRENGTH,) if validation is None else _STRENGTHS
    candidates = _fit(texts, labels_N, weights_N, num_classes, analyzer, max_features, strengths, seed)
    if validation is None:
        return candidates[0]
    held_texts, held_labels = validation

    def score(linear: Linear) -> float:
        predicted = linear.logits(held_texts).argmax(axis=1)
        return float(macro_f1(confusion(held_labels, predicted, num_classes)))

    return max(candidates, key=score)  # of equals the first: the stronger penalty


def _fit(
    texts: Sequence[str],
    labels_N: NDArray[np.int64],
    weights_N: NDArray[np.float64],
    num_classes: int,
    analyzer: Analyzer,
    max_features: int,
    strengths: Sequence[float],
    seed: int,
) -> list[Linear]:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits  # scikit-learn's own dependency

    vectorizer = TfidfVectorizer(**msgspec.structs.asdict(analyzer), max_features=max_features)
    features_NV = vectorizer.fit_transform(texts)
    vocabulary = {ngram: int(column) for ngram, column in vectorizer.vocabulary_.items()}
    fitted = []
    for strength in strengths:
        model = LogisticRegression(C=strength, max_iter=_STEPS, random_state=seed)
        # one thread: its sums do not depend on the machine, and lbfgs on sparse rows is up to ten times slower on more
        with threadpool_limits(limits=1), warnings.catch_warnings():
            # after 1,000 steps the weights are as good as they get, and a user can do nothing about the rest
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(features_NV, labels_N, sample_weight=weights_N)
        coef, intercept = _every_class(model.classes_, model.coef_, np.asarray(model.intercept_), num_classes)
        fitted.append(Linear(vocabulary, vectorizer.idf_, coef, intercept, analyzer))
    return fitted


def _every_class(
    classes: NDArray[np.int64], coef: NDArray[np.float64], intercept: NDArray[np.float64], num_classes: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """One row a class, also for two classes (scikit-learn keeps one row for both) and for classes without texts."""
    if len(classes) == 2:  # the softmax of -x/2 and x/2 is the sigmoid of x
        coef, intercept = np.vstack([-coef, coef]) / 2, np.concatenate([-intercept, intercept]) / 2
    all_coef = np.zeros((num_classes, coef.shape[1]))
    all_intercept = np.full(num_classes, _NEVER)
    all_coef[classes], all_intercept[classes] = coef, intercept
    return all_coef, all_intercept


def _majority(
    labels_N: NDArray[np.int64], weights_N: NDArray[np.float64], num_classes: int, analyzer: Analyzer
) -> Linear:
    weight_C = np.bincount(labels_N, weights=weights_N, minlength=num_classes)
    intercept = np.full(num_classes, _NEVER)
    np.log(weight_C / weight_C.sum(), out=intercept, where=weight_C > 0)
    return Linear({}, np.zeros(0), np.zeros((num_classes, 0)), intercept, analyzer)


def _weights(sample_weight: ArrayLike | None, rows: int) -> NDArray[np.float64]:
    weights_N = np.ones(rows) if sample_weight is None else np.asarray(sample_weight, np.float64)
    if weights_N.shape != (rows,):
        raise DataError(f"sample_weight must be one number a row, shape ({rows},), got shape {weights_N.shape}")
    refused = weights_N[~(np.isfinite(weights_N) & (weights_N >= 0))]
    if refused.size:
        raise DataError(f"sample_weight must be finite and 0 or more, got {refused[0]}")
    return weights_N
