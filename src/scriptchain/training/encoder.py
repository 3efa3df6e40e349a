"""An encoder from rows: its vocabulary and its start, what it reads before the labels, the labels, its temperature."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..config import Config
from ..data.labels import Labels
from ..data.records import Records
from ..data.tokenizer import Tokenizer
from ..model.pipeline import Network
from ..report import Stream
from .checkpoint import EVERY, Checkpoints
from .contrast import with_names
from .estimate import refuse_what_cannot_fit
from .lesson import Lesson
from .loop import Examples, Outcome, fit, seconds_at_most
from .masked import read_first
from .ngrams import settle, share
from .probe import fit_head
from .rows import examples_of, job_of
from .seed import seeded
from .start import start_of
from .temperature import scale
from .world import joined


@dataclass(frozen=True)
class Trained:
    """A network, its vocabulary, `read`, all rows whose texts taught it anything, and how it went."""

    network: Network
    tokenizer: Tokenizer
    read: Records
    outcome: Outcome


def fit_encoder(
    config: Config,
    labels: Labels,
    train: Records,
    *,
    validation: Records | None,
    weights: NDArray[np.float32] | None,
    lesson: Lesson | None,
    unlabelled: Sequence[str],
    device: str,
    stream: Stream | None,
    stop: Callable[[], bool],
    checkpoints: Path | None,
    every: float | None,
    finish: bool,
) -> Trained:
    """Trains on exactly these rows; the arguments are those of `Classifier.fit_records`.

    *Raises*: as `training.loop.fit`; ConfigError and ResourceError for what cannot be held in memory.
    """
    refuse_what_cannot_fit(config, config.vocab_size, len(labels))
    start = start_of(config)
    learned = train if lesson is None else lesson.rows
    taught = [*learned.texts, *unlabelled] if unlabelled else learned.texts
    read = Records(taught, None, [], learned.source)
    tokenizer = start.tokenizer(read.texts)
    memory = refuse_what_cannot_fit(config, tokenizer.vocab_size, len(labels))
    if lesson is not None and weights is not None:
        weights = np.concatenate([weights, np.ones(len(learned) - len(train), np.float32)])
    examples = examples_of(config, tokenizer, labels, learned, weights, stream)
    if config.contrastive_steps:
        examples = with_names(examples, labels.names, tokenizer)
    if lesson is not None:
        examples = dataclasses.replace(examples, targets=lesson.targets)
    held_out = None if validation is None else examples_of(config, tokenizer, labels, validation)
    with seeded(config.seed):
        network = Network(config, tokenizer.vocab_size, len(labels))
        start.fill(network, tokenizer)
        if stream is not None:
            count = sum(parameter.numel() for parameter in network.parameters())
            stream.write(f"{count:,} parameters, about {memory / 2**20:,.0f} MiB of memory at most\n")
        share(network, tokenizer, config)
        kept = before = None
        if checkpoints is not None:
            world = joined()
            job = job_of(config, tokenizer, learned, validation, weights, lesson, unlabelled, world.size)
            made = partial(Checkpoints, job=job, every=EVERY if every is None else every, stream=stream,
                           leads=world.leads)  # fmt: skip
            kept = None if config.frozen else made(checkpoints)
            before = made(checkpoints / "masked") if config.masked_epochs else None
        if config.masked_epochs and not (kept is not None and (kept.begun or finish)):
            if stream is not None:
                stream.write(f"the hidden tokens of {len(read):,} texts are learned first\n")
            outcome = read_first(network.encoder, tokenizer, read.texts, config, device=device, stream=stream,
                                 stop=stop, checkpoints=before)  # fmt: skip
            if outcome.interrupted:
                return Trained(network, tokenizer, read, outcome)
        outcome = _labelled(network, examples, config, held_out, device, stream, stop, kept, finish)
        settle(network)
    if validation is not None and not outcome.interrupted:
        outcome.temperature = scale(network, tokenizer, validation.texts, labels.index(validation.labels or []))
    return Trained(network, tokenizer, read, outcome)


def _labelled(
    network: Network, examples: Examples, config: Config, validation: Examples | None, device: str,
    stream: Stream | None, stop: Callable[[], bool], checkpoints: Checkpoints | None, finish: bool,
) -> Outcome:  # fmt: skip
    if config.frozen:
        return fit_head(network, examples, config, validation=validation, device=device, stream=stream)
    return fit(
        network, examples, config, validation=validation, device=device, stream=stream, stop=stop,
        checkpoints=checkpoints, finish=finish,
    )  # fmt: skip


def seconds_of(config: Config, train: Records, device: str) -> float:
    """What `fit_encoder` on these rows takes at most, foreseen from a few steps; nothing is learned."""
    labels = Labels.from_names(train.labels or [])
    tokenizer = start_of(config).tokenizer(train.texts)
    with seeded(config.seed):
        network = Network(config, tokenizer.vocab_size, len(labels))
        share(network, tokenizer, config)
        examples = examples_of(config, tokenizer, labels, train)
        seconds = seconds_at_most(network, examples, config, device)
    if not config.frozen:
        return seconds
    once = seconds / config.epochs
    steps = -(-len(train) // config.batch_size)
    return once / 3 + config.contrastive_steps * once / steps  # all texts forward alone, and the steps before
