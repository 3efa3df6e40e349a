"""Labelled rows as training takes them: token ids, label numbers and weights; and what makes a run the same run."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import config as configs
from ..config import Config
from ..data.labels import Labels
from ..data.records import Records
from ..data.text import digest
from ..data.tokenizer import Tokenizer
from ..errors import ConfigError
from ..report import Stream
from .lesson import Lesson
from .loop import Examples


def examples_of(
    config: Config, tokenizer: Tokenizer, labels: Labels, records: Records,
    weights: NDArray[np.float32] | None = None, stream: Stream | None = None,
) -> Examples:  # fmt: skip
    """A row counts its weight `(N,)`, 1 without, times its class's. Raises ConfigError as `class_weights`."""
    encoded = tokenizer.encode(records.texts)
    cut = int(encoded.truncated.sum())
    if cut and stream is not None:
        stream.write(
            f"{cut:,} of {len(records):,} training texts are longer than {config.max_seq_len} tokens and are cut\n"
        )
    numbers = labels.index(records.labels or [])
    each = np.ones(len(records), np.float32) if weights is None else weights
    return Examples(encoded.ids, numbers, each * class_weights(config, labels, numbers)[numbers], records.lines)


def class_weights(config: Config, labels: Labels, numbers: NDArray[np.int64]) -> NDArray[np.float32]:
    """What each class counts, `(C,)`, of rows with these label numbers `(N,)`.

    *Raises*: ConfigError for the name of a class that is not there.
    """
    if config.class_weights is None:
        return np.ones(len(labels), np.float32)
    if config.class_weights == "balanced":
        counts = np.bincount(numbers, minlength=len(labels))
        return (len(numbers) / (len(labels) * np.maximum(1, counts))).astype(np.float32)
    unknown = sorted(set(config.class_weights) - set(labels.names))
    if unknown:
        raise ConfigError(f"class_weights must name classes of the data, got {unknown[0]!r}",
                          hint=f"the classes are {', '.join(labels.names[:20])}")  # fmt: skip
    return np.array([config.class_weights.get(name, 1.0) for name in labels.names], np.float32)


def job_of(
    config: Config, tokenizer: Tokenizer, train: Records, validation: Records | None,
    weights: NDArray[np.float32] | None, lesson: Lesson | None, unlabelled: Sequence[str], processes: int,
) -> dict[str, Any]:  # fmt: skip
    """What a run that goes on must have in common with the one that stopped, as a checkpoint keeps it."""

    def digest_of(records: Records | None) -> str:
        return digest([] if records is None else [records.texts, records.labels])

    return {
        "config": configs.to_dict(config),
        "processes": processes,
        "training rows": digest_of(train),
        "validation rows": digest_of(validation),
        "weights of the rows": None if weights is None else hashlib.sha256(weights.tobytes()).hexdigest(),
        "unlabelled texts": digest(unlabelled),
        "answers of the teacher": None if lesson is None else hashlib.sha256(lesson.targets.tobytes()).hexdigest(),
        "vocabulary": hashlib.sha256(tokenizer.to_json().encode()).hexdigest(),
    }
