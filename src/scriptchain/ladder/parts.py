"""Which rows a rung learns from, which choose its epoch, and which score it: no text on two sides."""

from dataclasses import dataclass

from ..data.records import Records
from ..data.splits import folds, split
from ..run import Splits

FEW, FOLDS = 5_000, 3  # below so many rows every row is scored, in so many folds


@dataclass(frozen=True)
class Part:
    """Rows to learn from, rows to choose the epoch by, and rows to be scored on."""

    learn: Records
    choose: Records
    score: Records


def parts_of(splits: Splits, seed: int) -> list[Part]:
    """Folds of a small set; else the validation rows are scored, and a tenth of the training rows chooses."""

    def inner(learn: Records, score: Records) -> Part:
        rows, chosen = split(learn.texts, learn.labels or [], (0.9, 0.1), seed=seed)
        return Part(learn.subset(rows), learn.subset(chosen), score)

    train, validation = splits.train, splits.validation
    if len(train) + len(validation) >= FEW:
        return [inner(train, validation)]
    both = together(splits)
    parts = folds(both.texts, both.labels or [], FOLDS, seed)
    return [inner(both.subset(rows), both.subset(held)) for rows, held in parts]


def together(splits: Splits) -> Records:
    """Every row that is no test row."""
    one, other = splits.train, splits.validation
    labels = [*(one.labels or []), *(other.labels or [])]
    return Records([*one.texts, *other.texts], labels, [*one.lines, *other.lines], one.source)
