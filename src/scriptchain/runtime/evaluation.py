"""What a model is worth on labelled rows: one evaluation for the command line, Python and training's own report."""

import math
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ..data.labels import Labels
from ..data.records import Records
from ..errors import DataError, ModelError, UsageError
from ..report import Report, Table, percent, shown, with_interval
from ..scoring.calibration import brier_score, calibration_interval, log_loss, reliability
from ..scoring.conformal import LabelSets, label_sets
from ..scoring.familiarity import Familiarity, Unfamiliar
from ..scoring.intervals import accuracy_interval, macro_f1_interval, mcnemar, paired_difference
from ..scoring.invariance import invariance as flips
from ..scoring.metrics import confusion, per_class
from ..scoring.order import order_effect, shuffle_words
from ..scoring.selective import Selective, selective
from .session import softmax

WORST = 10


@runtime_checkable
class Scorer(Protocol):
    """What `evaluate` needs of a model: a loaded Session, or the torch network straight after training."""

    @property
    def labels(self) -> Labels: ...

    def logits(self, texts: Sequence[str], /) -> NDArray[np.float32]: ...

    def baseline_logits(self, texts: Sequence[str]) -> NDArray[np.floating] | None: ...

    @property
    def held_out(self) -> Familiarity | None: ...

    def surprise(self, texts: Sequence[str]) -> NDArray[np.floating]: ...

    def saw(self, texts: Sequence[str]) -> NDArray[np.bool_] | None: ...

    def count_truncated(self, texts: Sequence[str]) -> int: ...


def evaluate(
    model: Scorer, records: Records, *, name: str, unknown_labels: str = "error", invariance: bool = False
) -> Report:
    """Scores with 95 % intervals, baselines beside them, leaks, calibration, order, and the worst errors.

    Shares are in 0..1; `data_needs_order` is in accuracy points (0..100). `leaks.rows` counts rows whose text stands
    in the training set, null of an exported model, which does not keep them and has no TF-IDF baseline;
    `metrics_without` is null if none is left without them. With `unknown_labels` skip, rows with
    labels that the model does not know are counted and left out. With `invariance` the document also says how many
    labels change under typos, case and other changes that mean nothing (`scoring.invariance`).

    *Raises*: DataError for rows without labels or with labels that the model does not know.
    """
    records, skipped = _known(model.labels, records, unknown_labels)
    texts, truth = records.texts, model.labels.index(records.labels or [])
    logits = model.logits(texts)
    predicted, probabilities = logits.argmax(1), softmax(logits)
    num_classes = len(model.labels.names)
    leaked, like = model.saw(texts), model.held_out
    metrics = _metrics(truth, probabilities)
    data: dict[str, Any] = {
        "model": name,
        "file": records.source,
        "rows": len(texts),
        "unknown_labels": skipped,
        "truncated": model.count_truncated(texts),
        "metrics": metrics,
        "baselines": _baselines(model, texts, truth, predicted),
        **order_effect(truth, logits, model.logits([shuffle_words(text) for text in texts])),
        "leaks": {
            "rows": _rows(leaked),
            "metrics_without": None
            if leaked is None or leaked.all()
            else _metrics(truth[~leaked], probabilities[~leaked]),
        },
        "per_class": _per_class(model.labels, truth, predicted),
        "confusion": {"labels": list(model.labels.names), "rows": confusion(truth, predicted, num_classes).tolist()},
        "reliability": reliability(probabilities, truth),
        "log_loss": log_loss(probabilities, truth),
        "brier_score": brier_score(probabilities, truth),
        "selective": selective(probabilities, truth),
        "label_sets": label_sets(probabilities, truth),
        "unfamiliar": None if like is None else like.unfamiliar(logits, model.surprise(texts)),
        "worst_errors": _worst_errors(model.labels, records, truth, probabilities),
    }
    if invariance:
        data["invariance"] = _invariance(model, records, probabilities)
    return Report(f"{name} on {records.source} ({len(texts):,} rows)", data, body_of(data))


def compare(models: Sequence[tuple[str, Scorer]], records: Records, *, unknown_labels: str = "error") -> Report:
    """Two models on the same rows, paired: A's score minus B's, and McNemar's exact test.

    *Raises*: ModelError if the two do not have the same classes; DataError as `evaluate`.
    """
    (name_a, a), (name_b, b) = models
    if a.labels.names != b.labels.names:
        raise ModelError(
            f"two models must have the same classes to be compared, got {', '.join(map(shown, a.labels.names[:5]))} "
            f"and {', '.join(map(shown, b.labels.names[:5]))}"
        )
    records, skipped = _known(a.labels, records, unknown_labels)
    truth, num_classes = a.labels.index(records.labels or []), len(a.labels.names)
    logits = [model.logits(records.texts) for _, model in models]
    predicted = [scores.argmax(1) for scores in logits]
    difference = {
        metric: paired_difference(truth, predicted[0], predicted[1], num_classes, metric)
        for metric in ("accuracy", "macro_f1")
    }
    p_value = mcnemar(truth, predicted[0], predicted[1])
    low, high = difference["accuracy"]["low"], difference["accuracy"]["high"]
    verdict = "A is better" if low > 0 else "B is better" if high < 0 else "undecided on these rows"
    data = {
        "file": records.source,
        "rows": len(truth),
        "unknown_labels": skipped,
        "models": [
            {
                "model": name,
                "metrics": _metrics(truth, softmax(scores)),
                "leaked_rows": _rows(model.saw(records.texts)),
            }
            for (name, model), scores in zip(models, logits, strict=True)
        ],
        "difference": difference,
        "mcnemar_p": p_value,
        "agreement": float((predicted[0] == predicted[1]).mean()),
        "verdict": verdict,
    }
    rows = [
        [label, entry["model"], *(with_interval(entry["metrics"][key]) for key in ("accuracy", "macro_f1")),
         "unknown" if entry["leaked_rows"] is None else entry["leaked_rows"]]
        for label, entry in zip("AB", data["models"], strict=True)
    ]  # fmt: skip
    body: list[Table | str] = [
        Table("models", ["", "model", "accuracy", "macro-F1", "leaked rows"], rows),
        f"accuracy of A minus B: {with_interval(difference['accuracy'])}, macro-F1: "
        f"{with_interval(difference['macro_f1'])}, McNemar p = {p_value:.2g}: {verdict}",
    ]
    if skipped:
        body.append(_skipped(skipped))
    return Report(f"{name_a} and {name_b} on {records.source} ({len(truth):,} rows)", data, body)


def _known(labels: Labels, records: Records, unknown_labels: str) -> tuple[Records, int]:
    """The rows to score, and how many were left out for a label that the model does not know."""
    if records.labels is None:
        raise DataError(f"{records.source} must have labels to be evaluated", hint="--label-column NAME")
    if unknown_labels not in ("error", "skip"):
        raise UsageError(f"unknown_labels must be error or skip, got {shown(unknown_labels)}")
    if unknown_labels == "error":
        return records, 0
    names = set(labels.names)
    known = records.subset(row for row, label in enumerate(records.labels) if label in names)
    if not len(known):
        labels.index(records.labels)  # says which they are
    return known, len(records) - len(known)


def _metrics(truth: NDArray[np.int64], probabilities: NDArray[np.float32]) -> dict[str, Any]:
    predicted, num_classes = probabilities.argmax(1), probabilities.shape[1]
    return {
        "accuracy": accuracy_interval(truth, predicted),
        "macro_f1": macro_f1_interval(truth, predicted, num_classes),
        "calibration_error": calibration_interval(probabilities, truth),
    }


def _baselines(
    model: Scorer, texts: Sequence[str], truth: NDArray[np.int64], predicted: NDArray[np.int64]
) -> dict[str, Any]:
    """Each baseline's own scores and the model's lead over it, on the same rows. The majority class is that of
    the scored rows: no constant answer does better on them."""
    num_classes = len(model.labels.names)
    answers = {"majority": np.full_like(truth, np.bincount(truth).argmax())}
    linear = model.baseline_logits(texts)
    if linear is not None:
        answers["tfidf_lr"] = linear.argmax(1)
    return {
        name: {
            "accuracy": accuracy_interval(truth, answer),
            "macro_f1": macro_f1_interval(truth, answer, num_classes),
            "difference": {
                metric: paired_difference(truth, predicted, answer, num_classes, metric=metric)
                for metric in ("accuracy", "macro_f1")
            },
        }
        for name, answer in answers.items()
    }


def _per_class(labels: Labels, truth: NDArray[np.int64], predicted: NDArray[np.int64]) -> dict[str, dict[str, Any]]:
    figures = per_class(confusion(truth, predicted, len(labels.names)))
    return {
        name: {
            "precision": float(figures.precision[number]),
            "recall": float(figures.recall[number]),
            "f1": float(figures.f1[number]),
            "support": int(figures.support[number]),
        }
        for number, name in enumerate(labels.names)
    }


def _worst_errors(
    labels: Labels, records: Records, truth: NDArray[np.int64], probabilities: NDArray[np.float32]
) -> list[dict[str, Any]]:
    """The wrong answers that were given with the most confidence."""
    predicted, score = probabilities.argmax(1), probabilities.max(1)
    wrong = np.flatnonzero(predicted != truth)
    worst = wrong[np.argsort(-score[wrong], kind="stable")][:WORST]
    return [
        {
            "line": records.lines[row],
            "text": records.texts[row],
            "label": labels.names[truth[row]],
            "predicted": labels.names[predicted[row]],
            "score": float(score[row]),
        }
        for row in worst.tolist()
    ]


def _invariance(model: Scorer, records: Records, probabilities: NDArray[np.float32]) -> dict[str, dict[str, Any]]:
    found = flips(records.texts, probabilities, lambda texts: softmax(model.logits(texts)))
    names = model.labels.names
    return {
        change: {
            "texts": result["texts"],
            "flip_rate": result["flip_rate"],
            "worst": [
                {
                    "line": records.lines[flip["row"]],
                    "text": flip["text"],
                    "changed": flip["changed"],
                    "predicted": names[flip["label"]],
                    "score": flip["score"],
                    "changed_predicted": names[flip["changed_label"]],
                    "changed_score": flip["changed_score"],
                }
                for flip in result["worst"]
            ],
        }
        for change, result in found.items()
    }


def _invariance_tables(found: dict[str, dict[str, Any]]) -> list[Table | str]:
    rates = [
        [change, result["texts"], with_interval(result["flip_rate"]) if result["texts"] else ""]
        for change, result in found.items()
    ]
    worst = [
        [change, flip["line"], f"{shown(flip['predicted'], 20)} {percent(flip['score'])}",
         f"{shown(flip['changed_predicted'], 20)} {percent(flip['changed_score'])}", shown(flip["changed"], 60)]
        for change, result in found.items() for flip in result["worst"][:1]
    ]  # fmt: skip
    tables: list[Table | str] = [
        Table("invariance", ["change", "texts that it alters", "labels that change"], rates,
              note="one change a text; a model that reads as people do keeps its label")
    ]  # fmt: skip
    if worst:
        tables.append(Table("surest flips", ["change", "line", "before", "after", "changed text"], worst))
    return tables


def body_of(data: dict[str, Any]) -> list[Table | str]:
    """The document of `evaluate` for people, also where it was read from a file."""
    metrics, baselines = data["metrics"], data["baselines"]
    names = {"majority": "majority class", "tfidf_lr": "TF-IDF + logistic regression"}
    rows = [["this model", with_interval(metrics["accuracy"]), with_interval(metrics["macro_f1"]), ""]]
    rows += [
        [names[key], with_interval(entry["accuracy"]), with_interval(entry["macro_f1"]),
         with_interval(entry["difference"]["macro_f1"])]
        for key, entry in baselines.items()
    ]  # fmt: skip
    order = data["data_needs_order"]
    skipped = data["unknown_labels"]
    body: list[Table | str] = [_skipped(skipped)] if skipped else []
    body += [
        Table("scores", ["", "accuracy", "macro-F1", "this model's lead in macro-F1"], rows,
              note="95 % intervals from a bootstrap over the rows"),
    ]  # fmt: skip
    lead = baselines["tfidf_lr"]["difference"]["macro_f1"] if "tfidf_lr" in baselines else None
    if lead is not None and lead["value"] < 0:
        sure = "is better than" if lead["high"] < 0 else "scores higher than"
        body.append(f"note: TF-IDF + logistic regression {sure} this model here; it may be all that you need")
    body += [
        f"calibration error: {with_interval(metrics['calibration_error'])}; "
        f"log loss {data['log_loss']:.3f}, Brier score {data['brier_score']:.3f}",
        f"leaks: {_leaks(data['leaks'])}",
        f"data needs order: shuffling the words costs {order['value']:.1f} points of accuracy "
        f"[{order['low']:.1f}, {order['high']:.1f}]",
        f"model uses order: {percent(data['model_uses_order']['flip_rate'])} of the labels change, logits move by "
        f"{data['model_uses_order']['logit_distance']:.3f} of their size",
        f"truncated texts: {data['truncated']:,}",
    ]
    body += [_sure_enough(data["selective"]), _sets(data["label_sets"]), _unfamiliar(data["unfamiliar"])]
    if "invariance" in data:
        body += _invariance_tables(data["invariance"])
    classes = [
        [shown(name, 30), percent(row["precision"]), percent(row["recall"]), percent(row["f1"]), row["support"]]
        for name, row in data["per_class"].items()
    ]
    body.append(Table("classes", ["class", "precision", "recall", "F1", "rows"], classes))
    if len(data["confusion"]["labels"]) <= 12:
        labels = [shown(name, 14) for name in data["confusion"]["labels"]]
        matrix = [[name, *counts] for name, counts in zip(labels, data["confusion"]["rows"], strict=True)]
        body.append(Table("confusion (rows: truth, columns: prediction)", ["", *labels], matrix))
    if data["worst_errors"]:
        errors = [
            [error["line"], shown(error["label"], 20), shown(error["predicted"], 20), percent(error["score"]),
             shown(error["text"], 60)]
            for error in data["worst_errors"]
        ]  # fmt: skip
        body.append(Table("most confident errors", ["line", "label", "predicted", "score", "text"], errors))
    return body


def _sure_enough(found: list[Selective]) -> Table | str:
    if all(one["threshold"] is None for one in found):
        return (
            f"sure enough: no score shows on these rows that {percent(found[0]['precision'])} of the answers are right"
        )
    rows = []
    for one in found:
        threshold, answered, right = one["threshold"], one["answered"], one["right"]
        if threshold is None or answered is None or right is None:
            rows.append([percent(one["precision"]), "these rows do not show it", "", ""])
        else:
            score = math.ceil(1000 * threshold) / 1000  # rounded down it would promise too much
            rows.append([percent(one["precision"]), f"{score:.3f}", percent(answered), with_interval(right)])
    return Table("sure enough", ["wanted precision", "score of at least", "texts answered", "right of them"], rows,
                 note="predict --abstain-below SCORE leaves the others without a label")  # fmt: skip


def _sets(found: LabelSets | None) -> str:
    if found is None:
        return "label sets: too few rows to choose a threshold on one half and measure it on the other"
    low, high = map(percent, found["band"])
    measured = percent(found["measured"])
    score = math.floor(1000 * found["threshold"]) / 1000  # rounded up it would leave labels out
    return (
        f"label sets: all labels with a score of at least {score:.3f} hold the right one in "
        f"{percent(found['coverage'])} of texts; chosen on half of these rows {measured} of the other half "
        f"[{low} to {high} expected], {found['mean_size']:.2f} labels a text"
    )


def _unfamiliar(found: Unfamiliar | None) -> str:
    if found is None:
        return "familiarity: too few texts were held out of training to say how usual these are"
    expected = percent(found["level"])
    return (
        f"familiarity: {with_interval(found['share'])} of these texts are as unlike the training's as {expected} of "
        "those held out of it were"
    )


def _skipped(rows: int) -> str:
    return f"{rows:,} row{'s' * (rows > 1)} left out: the model does not know the label"


def _rows(leaked: NDArray[np.bool_] | None) -> int | None:
    return None if leaked is None else int(leaked.sum())


def _leaks(found: dict[str, Any]) -> str:
    if found["rows"] is None:
        return "unknown, an exported model does not keep what it learned from"
    told = f"{found['rows']:,} rows stand in the training set"
    if not found["rows"]:
        return told
    metrics = found["metrics_without"]
    left = "nothing is left" if metrics is None else f"accuracy is {with_interval(metrics['accuracy'])}"
    return f"{told}; without them {left}"
