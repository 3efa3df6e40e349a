"""What a climb has found out so far, on the disk: what was trained and measured is not trained again.

A file a training, `trial-NAME-K.json`; the checkpoints of the one that is under way, `checkpoints-NAME-K`; and the run
folders of the models that teach a student, `teacher-K`.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import durable
from ..classifier import Classifier
from ..data.text import digest
from ..errors import ModelError
from ..run import Splits
from .rung import Trial


@dataclass(frozen=True)
class Kept:
    """`job` is what a climb that goes on must have in common with the one that stopped; checkpoints are `every` so
    many seconds apart."""

    folder: Path
    job: str
    every: float | None = None

    def trial(self, name: str, number: int) -> Trial | None:
        """What that training showed; None where it was not measured, or its file is damaged.

        *Raises*: ModelError for a climb of other rows or another seed.
        """
        try:
            told = json.loads(self._place(name, number).read_text("utf-8"))
            job = told.pop("job")
            trial = Trial(**told | {"answers": np.array(told["answers"], np.int64)})
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        if job != self.job:
            raise ModelError(f"{self.folder} must hold a climb of these rows with this seed, got another",
                             hint="--force starts from the beginning")  # fmt: skip
        return trial

    def keep(self, name: str, number: int, trial: Trial) -> None:
        """Its checkpoints go, what it showed stays."""
        told = asdict(trial) | {"answers": trial.answers.tolist(), "job": self.job}
        durable.write(self._place(name, number), json.dumps(told).encode())
        shutil.rmtree(self.checkpoints(name, number), ignore_errors=True)

    def checkpoints(self, name: str, number: int) -> Path:
        return self.folder / f"checkpoints-{name}-{number}"

    def keep_teacher(self, number: int, model: Classifier) -> None:
        """As a run folder, which is what answers the students, whether the climb was stopped or not."""
        made = self.folder / f".teacher-{number}{durable.TEMPORARY}"
        model.save_pretrained(made)
        durable.publish(made, self._teacher(number))

    def teacher(self, number: int, threads: int | None) -> Classifier:
        return Classifier.from_pretrained(self._teacher(number), threads=threads)

    def _place(self, name: str, number: int) -> Path:
        return self.folder / f"trial-{name}-{number}.json"

    def _teacher(self, number: int) -> Path:
        return self.folder / f"teacher-{number}"


def job_of(splits: Splits, unlabelled: Sequence[str], seed: int) -> str:
    """A digest of all that decides what the trainings of a climb come to."""
    told: list[Any] = [[rows.texts, rows.labels] for rows in (splits.train, splits.validation)]
    return digest([*told, unlabelled, seed])
