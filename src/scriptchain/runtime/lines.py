"""Rows to lines of answers, in JSON or CSV: the one path from texts to what `predict` writes."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..scoring.familiarity import required
from .answers import DIGITS, label_of, logits_each, members
from .session import Session, softmax

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # how a spreadsheet knows one


@dataclass(frozen=True)
class Asked:
    """What is wanted beside label and score, as the options of `predict` of these names say it."""

    all_scores: bool = False
    abstain_below: float = 0.0
    labels_above: float | None = None
    familiarity: bool = False
    with_id: bool = False
    raw: bool = False


class Given(NamedTuple):
    """A row to be answered; `fault` is what is wrong with it, if it cannot be."""

    place: str
    text: str = ""
    id: str | None = None
    fault: str | None = None


class Answer(NamedTuple):
    """What is said of a row: the scores of all classes, or a fault."""

    row: Given
    label: str | None = None
    scores: Sequence[float] = ()
    familiarity: float | None = None
    fault: str | None = None


class Lines(NamedTuple):
    """Lines of a chunk of rows, how many rows got no answer, and why the first of them did not."""

    content: bytes
    bad: int
    first: str


class Scorer:
    """Answers chunks of rows with a model; raises as Session, and UsageError where familiarity is not known."""

    def __init__(self, model: str, threads: int | None, asked: Asked):
        self.session = Session(model, threads=threads)
        self.asked = asked
        self._like = required(self.session.held_out) if asked.familiarity else None

    def __call__(self, rows: Sequence[Given], form: str, first: bool) -> Lines:
        """`form` is json or csv; the first chunk of a CSV file begins with the names of the columns."""
        found = self._answers(rows)
        wrong = [answer.fault for answer in found if answer.fault is not None]
        names = self.session.labels.names
        text = csv_lines(found, self.asked, names, first) if form == "csv" else json_lines(found, self.asked, names)
        return Lines(text.encode("utf-8", "backslashreplace"), len(wrong), wrong[0] if wrong else "")

    def _answers(self, rows: Sequence[Given]) -> list[Answer]:
        texts = [row.text for row in rows if row.fault is None]
        logits = logits_each(self.session.logits, texts) if texts else []
        if texts and all(one is None for one in logits):
            self.session.logits(["a text"])  # where it is the model that is broken, and not these texts, it says so
        coming = iter(logits)
        found = [(row, None if row.fault is not None else next(coming)) for row in rows]
        known = [(row, one) for row, one in found if one is not None]
        if not known:
            return [self._none(row) for row in rows]
        logits_MC = np.stack([one for _, one in known])
        alike: list[float | None] = [None] * len(known)
        if self._like is not None:
            alike = self._like(logits_MC, self.session.surprise([row.text for row, _ in known])).tolist()
        told = iter(zip(softmax(logits_MC).tolist(), alike, strict=True))
        names, answers = self.session.labels.names, list[Answer]()
        for row, one in found:
            if one is None:
                answers.append(self._none(row))
            else:
                scores, like = next(told)
                answers.append(Answer(row, label_of(names, scores, self.asked.abstain_below), scores, like))
        return answers

    def _none(self, row: Given) -> Answer:
        return Answer(row, fault=row.fault or f"{row.place}: the model has no answer to this text")


def json_lines(answers: Sequence[Answer], asked: Asked, names: Sequence[str]) -> str:
    def line(answer: Answer) -> dict[str, Any]:
        if answer.fault is not None:
            return {"error": answer.fault}
        told: dict[str, Any] = {"id": answer.row.id} if asked.with_id else {}
        told |= {"text": answer.row.text, "label": answer.label, "score": round(max(answer.scores), DIGITS)}
        if answer.familiarity is not None:
            told["familiarity"] = round(answer.familiarity, DIGITS)
        if asked.labels_above is not None:
            told["labels"] = members(names, answer.scores, asked.labels_above)
        if asked.all_scores:
            told["scores"] = {name: round(one, DIGITS) for name, one in zip(names, answer.scores, strict=True)}
        return told

    return "".join(json.dumps(line(answer), ensure_ascii=False) + "\n" for answer in answers)


def csv_lines(answers: Sequence[Answer], asked: Asked, names: Sequence[str], first: bool) -> str:
    """Columns, labels of a set joined by `; `.

    What is text cannot run as a formula in a spreadsheet unless `raw`, and numbers are never touched.
    """
    shown = names if asked.all_scores else ()

    def safe(text: str | None) -> str:
        return f"'{text}" if text and not asked.raw and text.startswith(FORMULA) else text or ""

    head = [
        *["id"] * asked.with_id,
        "text",
        "label",
        "score",
        *["familiarity"] * asked.familiarity,
        *["labels"] * (asked.labels_above is not None),
        *map(safe, shown),
        "error",
    ]

    def cells(answer: Answer) -> list[str]:
        if answer.fault is not None:
            return [*[""] * (len(head) - 1), safe(answer.fault)]
        ids = [safe(answer.row.id)] if asked.with_id else []
        several = []
        if asked.labels_above is not None:
            several = [safe("; ".join(members(names, answer.scores, asked.labels_above)))]
        top, *rest = [f"{score:.{DIGITS}f}" for score in (max(answer.scores), *(answer.scores if shown else ()))]
        alike = [] if answer.familiarity is None else [f"{answer.familiarity:.{DIGITS}f}"]
        return [*ids, safe(answer.row.text), safe(answer.label), top, *alike, *several, *rest, ""]

    def line(cells: Sequence[str]) -> str:
        target = io.StringIO(newline="")
        # Older Pythons quote a carriage return only where it is a part of the line's end.
        csv.writer(target, lineterminator="\r\n").writerow(cells)
        return target.getvalue()[:-2] + "\n"

    return "".join(map(line, [*[head] * first, *map(cells, answers)]))
