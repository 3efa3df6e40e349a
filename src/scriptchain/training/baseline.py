"""Fits the linear baseline with scikit-learn; what comes back is scored by numpy alone (`runtime/linear.py`)."""

import time
import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import product
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..data.spool import room
from ..errors import DataError
from ..heap import give_back
from ..report import Stream, in_turn
from ..runtime.linear import Analyzer, Linear
from ..runtime.session import softmax
from ..scoring.calibration import log_loss, temperature
from ..scoring.metrics import accuracy, as_labels, confusion, macro_f1, same_rows
from .loop import Outcome

if TYPE_CHECKING:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

_STRENGTHS = (1.0, 3.0, 10.0)  # scikit-learn's C, the inverse of the penalty
BALANCES: tuple[Literal["balanced"] | None, ...] = ("balanced", None)  # weights of the classes
_MANY = 500_000  # rows x classes; six fits would take longer than the network
_AT_ONCE = 50_000  # rows whose n-grams are held in memory, some 9 KB a row
_PIECE = 5_000  # rows of more than these that are counted at a time
_CHARACTERS = Analyzer(ngram_range=(3, 5), unit="character")
_STEPS = 1_000
_NEVER = -30.0  # logits are centered, so the likeliest is 0 or more: this is a probability under 1e-13


def fit_baseline(
    texts: Sequence[str],
    labels: ArrayLike,
    num_classes: int,
    validation: tuple[Sequence[str], ArrayLike] | None = None,
    seed: int = 0,
    max_features: int = 50_000,
    sample_weight: ArrayLike | None = None,
    stream: Stream | None = None,
) -> Linear:
    """TF-IDF and logistic regression on texts and class indices (N,).

    Words, pairs of words, and n-grams of 3 to 5 characters that two texts hold, at most `max_features` of each. The
    penalty, and whether classes weigh the same, are chosen by validation macro-F1; without it C is 3 and they do, and
    beyond 500,000 rows x classes C is 3. Beyond 50,000 rows the n-grams, and how rare each is, are those of 50,000
    drawn rows, and what is counted stands in a temporary file, so that memory never holds that of more rows.
    A class without rows keeps a probability near 0. Where nothing can be counted, or all rows have one class, the
    baseline is the share of each class. Rows of weight 0 are left out. Of many rows `stream` is told how far it is.

    Raises: DataError where rows, labels or weights do not fit each other, or no row is left; ResourceError where the
    disk of that file is full.
    """
    weights_N = _weights(sample_weight, len(texts))
    labels_N = as_labels(labels, num_classes, "labels")
    same_rows(texts=texts, labels=labels_N)
    if not weights_N.any():
        raise DataError("texts must hold at least one row of positive weight, got none")
    if not weights_N.all():
        kept = np.flatnonzero(weights_N)
        texts, labels_N, weights_N = [texts[row] for row in kept.tolist()], labels_N[kept], weights_N[kept]
    give_back()  # what the network was trained with
    views = [] if len(np.unique(labels_N)) == 1 else _views(_some(texts, seed), max_features)
    give_back()  # of all n-grams that were counted few are kept
    if not views:
        return _majority(labels_N, weights_N, num_classes)
    features_NV = _counted(views, texts, stream)
    strengths = _STRENGTHS if len(texts) * num_classes <= _MANY else [3.0]
    choices = list(product(strengths, BALANCES) if validation is not None else product([3.0], BALANCES[:1]))
    if stream is not None and len(texts) > _AT_ONCE:  # minutes until one fit is done, and a rate is known
        stream.write(f"the linear baseline learns from {len(texts):,} texts {len(choices)} times\n")
        stream.flush()
    fits = in_turn(len(choices) * len(texts), len(texts), "the linear baseline learned from", stream)
    models = [
        fit_regression(features_NV, labels_N, weights_N, *choice, seed) for choice, _ in zip(choices, fits, strict=True)
    ]
    give_back()  # what the fits added up in
    if validation is None:
        return _linear(views, models[0], num_classes)
    held_NV, held_labels = _counted(views, validation[0], stream), validation[1]

    def score(model: "LogisticRegression") -> float:
        return float(macro_f1(confusion(held_labels, model.predict(held_NV), num_classes)))

    return _linear(views, max(models, key=score), num_classes)  # of equals the first: the stronger penalty


def fit_model(
    texts: Sequence[str],
    labels: ArrayLike,
    num_classes: int,
    validation: tuple[Sequence[str], ArrayLike] | None,
    sample_weight: ArrayLike,
    seed: int,
    stream: Stream | None = None,
) -> tuple[Linear, Outcome]:
    """The baseline as a model of its own, scaled by the temperature of the validation rows; its history is one record.

    *Raises*: as `fit_baseline`.
    """
    start = time.perf_counter()
    linear = fit_baseline(texts, labels, num_classes, validation, seed, sample_weight=sample_weight, stream=stream)
    record: dict[str, Any] = {"epoch": 1, "step": 0}
    found = 1.0
    if validation is not None:
        logits, truth = linear.logits(validation[0]), np.asarray(validation[1])
        record |= validation_scores(logits, truth)
        found = temperature(logits, truth)
        linear = linear.divided(found)
    return linear, Outcome([record], 1, 0, time.perf_counter() - start, temperature=found)


def validation_scores(logits: NDArray[np.floating], truth: NDArray[np.int64]) -> dict[str, float]:
    """What a record of a history says of the validation rows; logits `(N, C)`."""
    cells = confusion(truth, logits.argmax(1), logits.shape[1])
    loss = log_loss(softmax(logits.astype(np.float32)), truth)
    return {"validation_loss": loss, "validation_accuracy": float(accuracy(cells)),
            "validation_macro_f1": float(macro_f1(cells))}  # fmt: skip


def _views(texts: Sequence[str], max_features: int) -> list[tuple[Analyzer, "TfidfVectorizer"]]:
    """Words and characters, each where there are any in these texts."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    found = []
    for analyzer, fewest in ((Analyzer(), 1), (_CHARACTERS, 2)):
        vectorizer = TfidfVectorizer(
            analyzer="word" if analyzer.unit == "word" else "char_wb", lowercase=analyzer.lowercase, min_df=fewest,
            ngram_range=analyzer.ngram_range, sublinear_tf=analyzer.sublinear_tf, max_features=max_features,
        )  # fmt: skip
        with suppress(ValueError):  # not one n-gram, or none in enough texts
            found.append((analyzer, vectorizer.fit(texts)))
    return found


def _some(texts: Sequence[str], seed: int) -> Sequence[str]:
    if len(texts) <= _AT_ONCE:
        return texts
    drawn: list[int] = sorted(np.random.default_rng(seed).choice(len(texts), _AT_ONCE, replace=False).tolist())
    return [texts[row] for row in drawn]


def _counted(views: Sequence[tuple[Analyzer, "TfidfVectorizer"]], texts: Sequence[str], stream: Stream | None) -> Any:
    """All n-grams' weights in the texts, (N, V), sparse; those of many rows are read from files without a name.

    *Raises*: ResourceError where the disk is full.
    """
    from scipy.sparse import csr_matrix, hstack

    def some(part: slice) -> Any:
        rows = texts[part]
        return hstack([vectorizer.transform(rows) for _, vectorizer in views], format="csr")

    if len(texts) <= _AT_ONCE:
        return some(slice(None))
    ends = [np.zeros(1, np.int64)]
    with room(f"the n-grams of {len(texts):,} texts"), TemporaryFile() as weights_file, TemporaryFile() as columns_file:
        for rows in in_turn(len(texts), _PIECE, "the linear baseline counted", stream):
            part = some(rows)
            weights_file.write(part.data)
            columns_file.write(part.indices.astype(np.int32))
            ends.append(ends[-1][-1] + part.indptr[1:])
            del part
            give_back()
        arrays = _mapped(weights_file, np.float64), _mapped(columns_file, np.int32), np.concatenate(ends)
    width = sum(len(vectorizer.vocabulary_) for _, vectorizer in views)
    return csr_matrix(arrays, shape=(len(texts), width))


def _mapped(file: IO[bytes], kind: type[np.generic]) -> NDArray[Any]:
    """What was written, read where it is asked for; a file without a byte cannot be mapped."""
    file.flush()
    return np.memmap(file, kind, mode="r") if file.tell() else np.zeros(0, kind)


def fit_regression(
    features_NV: Any,
    labels_N: NDArray[np.int64],
    weights_N: NDArray[np.float64],
    strength: float,
    balance: Literal["balanced"] | None,
    seed: int,
) -> "LogisticRegression":
    """Logistic regression on rows of features, on one thread."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits  # scikit-learn's own dependency

    model = LogisticRegression(C=strength, class_weight=balance, max_iter=_STEPS, random_state=seed)
    # one thread: its sums do not depend on the machine, and lbfgs on sparse rows is up to ten times slower on more
    with threadpool_limits(limits=1), warnings.catch_warnings():
        # after 1,000 steps the weights are as good as they get, and a user can do nothing about the rest
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(features_NV, labels_N, sample_weight=weights_N)


def _linear(
    views: Sequence[tuple[Analyzer, "TfidfVectorizer"]], model: "LogisticRegression", num_classes: int
) -> Linear:
    """The fitted model as numpy scores it: a part for each view, the intercept in the first."""
    coef, intercept = every_class(model.classes_, model.coef_, np.asarray(model.intercept_), num_classes)
    ends = np.cumsum([len(vectorizer.vocabulary_) for _, vectorizer in views])
    parts = [
        Linear(
            {ngram: int(column) for ngram, column in vectorizer.vocabulary_.items()}, vectorizer.idf_, own,
            intercept if number == 0 else np.zeros(num_classes), analyzer,
        )
        for number, ((analyzer, vectorizer), own) in enumerate(zip(views, np.split(coef, ends[:-1], 1), strict=True))
    ]  # fmt: skip
    return parts[0] if len(parts) == 1 else replace(parts[0], characters=parts[1])


def every_class(
    classes: NDArray[np.int64], coef: NDArray[np.float64], intercept: NDArray[np.float64], num_classes: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """One row a class, also for two classes (scikit-learn keeps one row for both) and for classes without texts."""
    if len(classes) == 2:  # the softmax of -x/2 and x/2 is the sigmoid of x
        coef, intercept = np.vstack([-coef, coef]) / 2, np.concatenate([-intercept, intercept]) / 2
    all_coef = np.zeros((num_classes, coef.shape[1]))
    all_intercept = np.full(num_classes, _NEVER)
    all_coef[classes], all_intercept[classes] = coef, intercept
    return all_coef, all_intercept


def _majority(labels_N: NDArray[np.int64], weights_N: NDArray[np.float64], num_classes: int) -> Linear:
    weight_C = np.bincount(labels_N, weights=weights_N, minlength=num_classes)
    intercept = np.full(num_classes, _NEVER)
    np.log(weight_C / weight_C.sum(), out=intercept, where=weight_C > 0)
    return Linear({}, np.zeros(0), np.zeros((num_classes, 0)), intercept)


def _weights(sample_weight: ArrayLike | None, rows: int) -> NDArray[np.float64]:
    weights_N = np.broadcast_to(1.0, rows) if sample_weight is None else np.asarray(sample_weight, np.float64)
    if weights_N.shape != (rows,):
        raise DataError(f"sample_weight must be one number a row, shape ({rows},), got shape {weights_N.shape}")
    refused = weights_N[~(np.isfinite(weights_N) & (weights_N >= 0))]
    if refused.size:
        raise DataError(f"sample_weight must be finite and 0 or more, got {refused[0]}")
    return weights_N
