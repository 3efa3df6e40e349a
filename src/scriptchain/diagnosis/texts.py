"""Texts as a stack of ours sees them: vocabulary, classes, batches to examine and rows to train on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ..config import Config
from ..data.batches import pad
from ..data.labels import Labels
from ..data.records import Records
from ..data.splits import split
from ..data.tokenizer import CLS, Tokenizer
from ..errors import DataError, UsageError
from ..lab import Batch
from ..model.pipeline import Network
from ..training.loop import Examples
from ..training.seed import seeded
from ..training.start import Scratch
from ..trials.paired import Task

BATCH = 32  # texts


@dataclass(frozen=True)
class Vocabulary:
    """Tokenizer and classes; `build` is the network that a training with that seed starts from."""

    tokenizer: Tokenizer
    labels: Labels

    def build(self, config: Config, seed: int) -> Network:
        with seeded(seed):
            return Network(config, self.tokenizer.vocab_size, len(self.labels.names))

    def batches(self, rows: Records) -> list[Batch]:
        """Texts of similar length together, batches in random order; without labels where rows have none or others."""
        known = rows.labels if rows.labels is not None and set(rows.labels) <= set(self.labels.names) else None
        truth = None if known is None else self.labels.index(known)
        ids = self.tokenizer.encode(rows.texts).ids
        order = np.argsort(ids.lengths, kind="stable")
        batches = []
        for start in np.random.default_rng(0).permutation(range(0, len(order), BATCH)):
            chosen = order[start : start + BATCH]
            padded, mask = pad([ids[row] for row in chosen])
            inputs = torch.from_numpy(padded)
            numbers = None if truth is None else torch.from_numpy(truth[chosen])
            batches.append(Batch(inputs, torch.from_numpy(mask), numbers, inputs == CLS))
        return batches

    def examples(self, rows: Records) -> Examples:
        numbers = self.labels.index(rows.labels or [])
        return Examples(self.tokenizer.encode(rows.texts).ids, numbers, np.ones(len(numbers), np.float32))


def vocabulary(config: Config, rows: Records) -> Vocabulary:
    """What a training on these rows would have. Raises UsageError for a recipe whose start is not drawn."""
    if config.init:
        raise UsageError(
            f"a recipe must start from scratch to be examined untrained, got init.{next(iter(config.init))}",
            hint="train it, then scriptchain diagnose RUN",
        )
    return Vocabulary(Scratch(config).tokenizer(rows.texts), Labels.from_names(rows.labels or ["", "none"]))


def sample(rows: Records, texts: int, seed: int) -> Records:
    """No more than that many, at random, in their order. Raises DataError for no rows."""
    if not len(rows):
        raise DataError("the rows must hold texts to examine, got none")
    return rows.sample(texts, seed)


def training_task(config: Config, rows: Records, seed: int) -> tuple[Task, Sequence[Batch]]:
    """Rows to learn, to choose by and to score on (80, 10 and 10 %), and some of the first as batches."""
    learn, choose, score = (
        rows.subset(part) for part in split(rows.texts, rows.labels or [], (0.8, 0.1, 0.1), seed=seed)
    )
    words = vocabulary(config, learn)
    train, chosen, scored = (words.examples(part) for part in (learn, choose, score))
    task = Task(train, chosen, scored, words.tokenizer.vocab_size, len(words.labels.names))
    return task, words.batches(sample(learn, 2 * BATCH, seed))
