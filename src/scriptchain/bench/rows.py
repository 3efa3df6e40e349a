"""Which rows a candidate learns from, stops by and is scored on: the same for all candidates in one unit."""

from dataclasses import dataclass, field

import numpy as np

from ..data import formal, tasks
from ..data.records import Records
from ..data.splits import folds, split
from ..data.text import digest
from ..errors import DataError
from ..report import shown

FOLDS, FEWEST = 5, 40
GENERATED = {"train": 2_000, "validation": 300, "test": 350}  # rows of a task in which order decides
FORMAL = {"train": 4_000, "validation": 400, "test": 800}  # and of a formal language


@dataclass(frozen=True)
class Unit:
    """A fold of one shuffle of the rows, or one draw of a generated task."""

    repeat: int
    fold: int


@dataclass(frozen=True)
class Rows:
    """`records` cut into folds, another shuffle each repeat; or the generated `task`, drawn anew each repeat, with
    `number` rows to learn from.

    With `up_to`, rows of more words are scored and never learned from.

    *Raises*: DataError for rows without labels, fewer than 40, or a class that has no row of `up_to` words.
    """

    records: Records | None = None
    task: str | None = None
    folds: int = FOLDS
    seed: int = 0
    by: str = "labels"  # or hidden words
    up_to: int | None = None
    number: int | None = None
    _cut: dict[int, list[tuple[np.ndarray, np.ndarray]]] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.records is None:
            return
        if self.records.labels is None:
            raise DataError(f"{self.records.source} must have labels to compare by", hint="--label-column NAME")
        if len(self.records) < max(FEWEST, self.folds):
            raise DataError(f"a comparison in {self.folds} folds needs at least {max(FEWEST, self.folds)} rows, got "
                            f"{len(self.records)}")  # fmt: skip
        short = {
            label for text, label in zip(self.records.texts, self.records.labels, strict=True) if self._short(text)
        }
        if missing := sorted(set(self.records.labels) - short):
            raise DataError(f"--learn-up-to must leave every class rows to learn from, got none of "
                            f"{shown(missing[0], 40)!r} with {self.up_to} words")  # fmt: skip

    def _short(self, text: str) -> bool:
        return self.up_to is None or len(text.split()) <= self.up_to

    @property
    def overlap(self) -> float:
        """Scored rows a row that was learned from, where different units share rows; 0 where they share none."""
        return 0.0 if self.records is None else 1 / (self.folds - 1)

    def units(self, repeats: int) -> list[Unit]:
        width = self.folds if self.records is not None else 1
        return [Unit(repeat, fold) for repeat in range(repeats) for fold in range(width)]

    @property
    def each(self) -> int:
        """Units a repeat."""
        return len(self.units(1))

    def parts(self, unit: Unit) -> tuple[Records, Records, Records]:
        """Rows to learn from, to choose the epoch by, and to score on; no text is in two of them."""
        if self.records is None:
            return self._drawn(unit)
        shuffle = self.seed + unit.repeat
        if shuffle not in self._cut:
            self._cut[shuffle] = folds(self.records.texts, self.records.labels or [], self.folds, shuffle)
        learn, score = self._cut[shuffle][unit.fold]
        rest = self.records.subset([row for row in map(int, learn) if self._short(self.records.texts[row])])
        train, choose = split(rest.texts, rest.labels or [], (0.9, 0.1), seed=self.seed + unit.repeat)
        return rest.subset(train), rest.subset(choose), self.records.subset(score)

    def _drawn(self, unit: Unit) -> tuple[Records, Records, Records]:
        found = []
        made, sizes = (formal, FORMAL) if self.task in formal.FORMAL else (tasks, GENERATED)
        sizes = sizes | ({} if self.number is None else {"train": self.number})
        for part, number in sizes.items():
            texts, labels = made.generate(self.task or "", part, number, seed=self.seed + unit.repeat)
            found.append(Records(texts, labels, list(range(1, len(texts) + 1)), f"{self.task} {part}"))
        return found[0], found[1], found[2]

    @property
    def learned_words(self) -> int | None:
        """The longest texts that are learned from, where longer ones are scored too."""
        return formal.LEARNED if self.task in formal.FORMAL else self.up_to

    @property
    def digest(self) -> str:
        """What runs of the same rows have in common."""
        told = [self.task, self.folds, self.seed, self.by, self.up_to, self.number]
        told += [] if self.records is None else [self.records.texts, self.records.labels]
        return digest(told)[:16]
