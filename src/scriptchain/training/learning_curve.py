"""Would more labels help? The linear baseline on an eighth, a quarter, half and all training rows of five folds."""

import math
from collections.abc import Callable
from statistics import fmean, variance
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.labels import Labels
from ..data.records import Records
from ..data.splits import folds
from ..errors import DataError
from ..report import Report, Table, with_interval
from ..scoring.intervals import Interval, t_quantile
from ..scoring.metrics import confusion, macro_f1
from .baseline import fit_baseline

FOLDS, PARTS = 5, (8, 4, 2, 1)
FEWEST, MOST = 40, 20_000  # rows; of more a random part is taken


def learning_curve(records: Records, seed: int = 0, progress: Callable[[str], object] = lambda line: None) -> Report:
    """Macro-F1 by number of training rows, and what the last doubling of them brought, on the same test rows.

    No text stands on two sides of a fold; the smaller parts are parts of the larger ones. Folds share training rows, so
    their variance is corrected as Nadeau and Bengio 2003 do. `verdict` is "more labels help" where the interval of the
    last doubling lies above 0, else "undecided".

    *Raises*: DataError for fewer than 40 rows, rows without labels, or classes with fewer texts than folds.
    """
    if records.labels is None:
        raise DataError(f"{records.source} must have labels for a learning curve", hint="--label-column NAME")
    if len(records) < FEWEST:
        raise DataError(f"a learning curve needs at least {FEWEST} rows, got {len(records)}")
    generator = np.random.default_rng(seed)
    if len(records) > MOST:
        records = records.subset(np.sort(generator.permutation(len(records))[:MOST]))
    labels = Labels.from_names(records.labels or [])
    truth, classes = labels.index(records.labels or []), len(labels)
    scores = np.empty((FOLDS, len(PARTS)))
    rows = np.empty((FOLDS, len(PARTS)), int)
    for fold, (train, test) in enumerate(folds(records.texts, records.labels or [], FOLDS, seed)):
        shuffled = generator.permutation(train)
        for part, share in enumerate(PARTS):
            some = np.sort(shuffled[: math.ceil(len(train) / share)])
            fitted = fit_baseline(records.subset(some).texts, truth[some], classes, seed=seed)
            answers = fitted.logits(records.subset(test).texts).argmax(1)
            scores[fold, part] = macro_f1(confusion(truth[test], answers, classes))
            rows[fold, part] = len(some)
        progress(f"learning curve: fold {fold + 1} of {FOLDS}")
    means = rows.mean(0).round().astype(int).tolist()
    points = [{"rows": count, "macro_f1": _over_folds(scores[:, part], 0.0)} for part, count in enumerate(means)]
    doubling = _over_folds(scores[:, -1] - scores[:, -2], -1.0)
    verdict = "more labels help" if doubling["low"] > 0 else "undecided"
    data: dict[str, Any] = {"points": points, "last_doubling": doubling, "verdict": verdict}
    table = Table(
        "learning curve of TF-IDF + logistic regression", ["training rows", "macro-F1"],
        [[point["rows"], with_interval(point["macro_f1"])] for point in points],
        note=f"the last doubling brought {with_interval(doubling)}: {verdict}; 5 folds, corrected 95 % t-intervals",
    )  # fmt: skip
    return Report("learning curve", data, [table])


def _over_folds(values: NDArray[np.float64], lowest: float) -> Interval:
    mean = fmean(values.tolist())
    spread = math.sqrt(variance(values.tolist()) * (1 / FOLDS + 1 / (FOLDS - 1)))
    half = t_quantile(FOLDS - 1) * spread
    return {"value": mean, "low": max(lowest, mean - half), "high": min(1.0, mean + half)}
