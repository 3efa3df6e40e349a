"""What a student learns from: labelled rows and unlabelled texts, each with what a teacher says of it.

*Source*: Hinton, Vinyals and Dean 2015, arXiv 1503.02531.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ..data.labels import Labels
from ..data.records import Records
from ..data.splits import without
from ..data.text import leak_key
from ..errors import DataError, UsageError
from ..report import Stream, in_turn

TEMPERATURE = 1.0  # of the teacher's answers
SHARE = 0.3  # of a labelled row's target that is its label; the teacher, which learned from it, is too sure of it
AT_ONCE = 256  # texts


@runtime_checkable
class Teacher(Protocol):
    """Anything that answers with probabilities `(N, C)` for its classes."""

    def predict_proba(self, texts: Any) -> Any: ...

    @property
    def classes_(self) -> Any: ...


@dataclass(frozen=True)
class Lesson:
    """`rows` are labelled ones, then unlabelled ones with the teacher's label; `targets` `(N, C)` what each should be
    answered with, a row sums to 1."""

    rows: Records
    targets: NDArray[np.float32]


def lesson(teacher: Any, train: Records, unlabelled: Sequence[str] = (), stream: Stream | None = None) -> Lesson:
    """Asks the teacher about every text.

    *Raises*: DataError where its classes are not those of the rows; UsageError for what does not answer.
    """
    if not isinstance(teacher, Teacher):
        raise UsageError(f"teacher must have predict_proba and classes_, got {type(teacher).__name__}")
    assert train.labels is not None
    labels = Labels.from_names(train.labels)
    names = [str(name) for name in teacher.classes_]
    if sorted(names) != sorted(labels.names):
        raise DataError(f"the teacher must know the classes of the rows, {', '.join(labels.names[:20])}, "
                        f"got {', '.join(names[:20])}")  # fmt: skip
    texts = [*train.texts, *_new(unlabelled, train.texts)]
    columns = [names.index(name) for name in labels.names]
    targets = _asked(teacher, texts, stream)[:, columns] ** (1 / TEMPERATURE)
    targets = targets / targets.sum(1, keepdims=True)
    rows = len(train)
    own = np.eye(len(names), dtype=np.float32)[labels.index(train.labels)]
    targets[:rows] = SHARE * own + (1 - SHARE) * targets[:rows]
    pseudo = [labels.names[number] for number in targets[rows:].argmax(1)]
    lines = [*train.lines, *[0] * len(pseudo)]
    return Lesson(Records(texts, [*train.labels, *pseudo], lines, train.source, train.notes), targets)


def _new(unlabelled: Sequence[str], texts: Sequence[str]) -> list[str]:
    """Those that are none of the texts, each once."""
    others: list[str] = [unlabelled[int(row)] for row in without(unlabelled, texts)]
    return list({leak_key(text): text for text in reversed(others)}.values())[::-1]


def _asked(teacher: Teacher, texts: Sequence[str], stream: Stream | None) -> NDArray[np.float32]:
    parts = [
        np.asarray(teacher.predict_proba(texts[part]), dtype=np.float32)
        for part in in_turn(len(texts), AT_ONCE, "the teacher answered", stream)
    ]
    return np.concatenate(parts)
