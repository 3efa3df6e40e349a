"""One training of one candidate: the same weights where it has those of the others, the same order, the same dropout.

What is random comes from three streams, so that a candidate with more parameters shifts nothing for those it shares:
weights are those of the same network without positions, the order of rows is its own stream, and dropout begins anew
when all weights are drawn.
"""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ..config import Config, replace, to_dict
from ..data.labels import Labels
from ..data.records import Records
from ..data.tokenizer import Tokenizer
from ..errors import DivergedError
from ..model.pipeline import Network, torch_logits
from ..scoring.metrics import confusion, macro_f1
from ..training.estimate import memory_bytes
from ..training.loop import Examples, Objective, fit, seconds_at_most
from ..training.masked import MaskedModel, masked_texts, without_labels
from ..training.ngrams import settle, share
from ..training.rows import examples_of
from ..training.seed import seeded
from ..training.start import start_of
from . import hidden
from .arms import Arm, without_positions
from .pool import Run
from .rows import Rows, Unit

DROPOUT, HEAD = 1_000_003, 2_000_003  # added to the seed of the weights


def train(arm: Arm, unit: Unit, rows: Rows, seed: int, device: str = "cpu") -> Run:
    """A training that diverges answers with the most frequent class, or with all words alike."""
    begun = time.perf_counter()
    with _set_up(arm, unit, rows, seed) as job:
        steps, diverged = 0, False
        learning = time.perf_counter()
        try:
            steps = fit(job.model, job.learn, job.config, validation=job.choose, device=device).step
        except DivergedError:
            diverged = True
        learning = time.perf_counter() - learning
        settle(job.network)
    right, lengths, scores = (_named if rows.by == "hidden" else _labelled)(job, diverged)
    return Run(
        arm=arm.id, name=arm.name, config=to_dict(job.config), repeat=unit.repeat, fold=unit.fold,
        seed=job.config.seed, data=rows.digest, accuracy=float(right.sum()) / max(1, len(right)), **scores,
        right=np.packbits(right).tobytes().hex(), lengths=lengths,
        parameters=sum(parameter.numel() for parameter in job.network.parameters()),
        memory_mb=memory_bytes(job.config, job.tokenizer.vocab_size, len(job.labels)) / 2**20,
        step_ms=1000 * learning / max(1, steps), seconds=time.perf_counter() - begun, diverged=diverged,
    )  # fmt: skip


Scored = tuple[NDArray[np.bool_], list[int], dict[str, float]]  # what was right, of how many words each, and scores


def _labelled(job: "_Job", diverged: bool) -> Scored:
    truth = job.labels.index(job.score.labels or [])
    most = int(np.bincount(job.examples.labels).argmax())
    logits = torch_logits(job.network, job.tokenizer)
    answers = np.full(len(truth), most) if diverged else logits(job.score.texts).argmax(1)
    score = float(macro_f1(confusion(truth, answers, len(job.labels))))
    return answers == truth, [len(text.split()) for text in job.score.texts], {"macro_f1": score}


def _named(job: "_Job", diverged: bool) -> Scored:
    assert isinstance(job.model, MaskedModel)
    named = hidden.name(job.model, job.tokenizer, job.score.texts, job.config, job.config.seed)
    loss = math.log(job.tokenizer.vocab_size) if diverged else float(named.losses.sum()) / max(1, len(named.losses))
    words = np.array([len(text.split()) for text in job.score.texts])
    return named.right & (not diverged), words[named.text].tolist(), {"loss": loss}


def one_thread() -> None:
    """What is trained is the same in this process and in several, whose threads would fight for the cores."""
    torch.set_num_threads(1)


def seconds(arm: Arm, rows: Rows, seed: int, device: str = "cpu") -> float:
    """What one training takes at most, foreseen from a few steps; nothing is learned."""
    begun = time.perf_counter()
    with _set_up(arm, rows.units(1)[0], rows, seed) as job:
        ready = time.perf_counter() - begun
        return ready + seconds_at_most(job.model, job.learn, job.config, device)


@dataclass(frozen=True)
class _Job:
    config: Config
    labels: Labels
    tokenizer: Tokenizer
    network: Network
    model: nn.Module  # the network, or its encoder with a head for hidden words
    examples: Examples
    learn: Objective
    choose: Examples | None
    score: Records


@contextmanager
def _set_up(arm: Arm, unit: Unit, rows: Rows, seed: int) -> Iterator[_Job]:
    """All that a training begins with; inside the block, dropout has its own seed."""
    own = seed + 1000 * unit.repeat + unit.fold
    config = replace(arm.config, seed=own)
    learn, choose, score = rows.parts(unit)
    labels = Labels.from_names(learn.labels or [])
    start = start_of(config)
    tokenizer = start.tokenizer(learn.texts)
    examples = [examples_of(config, tokenizer, labels, part) for part in (learn, choose)]
    with seeded(own):
        network = paired(config, tokenizer.vocab_size, len(labels))
        start.fill(network, tokenizer)
        share(network, tokenizer, config)
        model, taught, held_out = network, examples[0], examples[1]
        if rows.by == "hidden":
            config = without_labels(config, config.epochs)
            model, held_out = hidden.model_of(network, config, own + HEAD), None
            taught = masked_texts(examples[0].ids, config)
        torch.manual_seed(own + DROPOUT)
        yield _Job(config, labels, tokenizer, network, model, examples[0], taught, held_out, score)


def paired(config: Config, vocab_size: int, num_classes: int) -> Network:
    """The network, with the weights of the same one without positions wherever both have them."""
    with seeded(config.seed):
        shared = Network(without_positions(config), vocab_size, num_classes).state_dict()
    with seeded(config.seed):
        network = Network(config, vocab_size, num_classes)
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if name in shared and not name.startswith("encoder.encodings."):
                tensor.copy_(shared[name])
    return network
