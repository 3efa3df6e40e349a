"""What a target's name stands for: a preset, a config file, a run folder or a Hugging Face encoder's folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import nn

from .. import config as configs
from ..config import Config
from ..data.records import Records, read
from ..errors import UsageError
from ..lab import Batch
from ..model.pipeline import network_of
from ..runtime.bundle import Bundle
from .texts import Vocabulary, sample, vocabulary


@dataclass(frozen=True)
class Subject:
    """Initial and, where there are, trained weights, and texts as batches.

    `held_out` are texts that the trained weights did not learn from; `config` and `words` are those of a network of
    ours.
    """

    initial: nn.Module
    trained: nn.Module | None
    batches: list[Batch]
    held_out: list[Batch]
    config: Config | None = None
    words: Vocabulary | None = None


def subject_of(target: str, rows: Records | None, texts: int, seed: int, settings: Sequence[str] = ()) -> Subject:
    """`rows` None stands for the bundled texts; `texts` of them are taken.

    *Raises*: UsageError for settings beside a folder; ConfigError, ModelError and DataError for what cannot be read.
    """
    path, rows = Path(target), read("emotions") if rows is None else rows
    if not path.is_dir():
        config = config_of(target, settings)
        words = vocabulary(config, rows)
        return Subject(words.build(config, seed), None, words.batches(sample(rows, texts, seed)), [], config, words)
    _refuse_settings(target, settings)
    if (path / "config.json").exists() and not (path / "manifest.json").exists():
        from ..lab import hugging_face

        initial, trained = (hugging_face.load(path, initial=initial, seed=seed) for initial in (True, False))
        return Subject(initial, trained, hugging_face.batches(path, sample(rows, texts, seed).texts), [])
    return _of_run(Bundle(path), rows, texts, seed)


def config_of(target: str, settings: Sequence[str] = ()) -> Config:
    """Of a preset, a config file or a run folder; a folder's weights are of its own config alone."""
    path = Path(target)
    if path.is_dir():
        _refuse_settings(target, settings)
        return Bundle(path).config
    file = path if path.suffix == ".toml" else None
    return configs.resolve(None if file else target, file, settings)


def _refuse_settings(target: str, settings: Sequence[str]) -> None:
    if settings:
        raise UsageError(f"--set must stand beside a preset or config file, got the folder {target!r}",
                         hint="scriptchain diagnose small --set num_layers=6")  # fmt: skip


def _of_run(bundle: Bundle, rows: Records, texts: int, seed: int) -> Subject:
    """Rows that the run learned from are told from others by the fingerprints that it keeps."""
    config, words = bundle.config, Vocabulary(bundle.tokenizer, bundle.labels)
    seen = bundle.saw(rows.texts)
    learned, other = rows.subset(np.flatnonzero(seen)), rows.subset(np.flatnonzero(~seen))
    if len(learned) < len(other):  # of another set, or mostly: one measurement of all of it
        learned, other = rows, rows.subset([])
    batches = words.batches(sample(learned, texts, seed))
    held_out = words.batches(sample(other, texts, seed)) if len(other) else []
    if any(batch.labels is None for batch in [*batches, *held_out]):
        held_out = []
    return Subject(words.build(config, config.seed), network_of(bundle), batches, held_out, config, words)
