"""One training of one candidate: the same weights where it has those of the others, the same order, the same dropout.

What is random comes from three streams, so that a candidate with more parameters shifts nothing for those it shares:
weights are those of the same network without positions, the order of rows is its own stream, and dropout begins anew
when all weights are drawn.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

from ..config import Config, replace, to_dict
from ..data.labels import Labels
from ..data.records import Records
from ..data.tokenizer import Tokenizer
from ..errors import DivergedError
from ..model.pipeline import Network, torch_logits
from ..scoring.metrics import confusion, macro_f1
from ..training.estimate import memory_bytes
from ..training.loop import Examples, fit, seconds_at_most
from ..training.ngrams import settle, share
from ..training.rows import examples_of
from ..training.seed import seeded
from ..training.start import start_of
from .arms import Arm
from .pool import Run
from .rows import Rows, Unit

DROPOUT = 1_000_003  # added to the seed of the weights


def train(arm: Arm, unit: Unit, rows: Rows, seed: int, device: str = "cpu") -> Run:
    """A training that diverges answers with the most frequent class."""
    begun = time.perf_counter()
    with _set_up(arm, unit, rows, seed) as job:
        steps, diverged = 0, False
        learning = time.perf_counter()
        try:
            steps = fit(job.network, job.learn, job.config, validation=job.choose, device=device).step
        except DivergedError:
            diverged = True
        learning = time.perf_counter() - learning
        settle(job.network)
    truth = job.labels.index(job.score.labels or [])
    most = int(np.bincount(job.learn.labels).argmax())
    logits = torch_logits(job.network, job.tokenizer)
    answers = np.full(len(truth), most) if diverged else logits(job.score.texts).argmax(1)
    right = answers == truth
    return Run(
        arm=arm.id, name=arm.name, config=to_dict(job.config), repeat=unit.repeat, fold=unit.fold,
        seed=job.config.seed, data=rows.digest,
        accuracy=float(right.mean()), macro_f1=float(macro_f1(confusion(truth, answers, len(job.labels)))),
        right=np.packbits(right).tobytes().hex(), lengths=[len(text.split()) for text in job.score.texts],
        parameters=sum(parameter.numel() for parameter in job.network.parameters()),
        memory_mb=memory_bytes(job.config, job.tokenizer.vocab_size, len(job.labels)) / 2**20,
        step_ms=1000 * learning / max(1, steps), seconds=time.perf_counter() - begun, diverged=diverged,
    )  # fmt: skip


def seconds(arm: Arm, rows: Rows, seed: int, device: str = "cpu") -> float:
    """What one training takes at most, foreseen from a few steps; nothing is learned."""
    with _set_up(arm, rows.units(1)[0], rows, seed) as job:
        return seconds_at_most(job.network, job.learn, job.config, device)


@dataclass(frozen=True)
class _Job:
    config: Config
    labels: Labels
    tokenizer: Tokenizer
    network: Network
    learn: Examples
    choose: Examples
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
        torch.manual_seed(own + DROPOUT)
        yield _Job(config, labels, tokenizer, network, examples[0], examples[1], score)


def paired(config: Config, vocab_size: int, num_classes: int) -> Network:
    """The network, with the weights of the same one without positions wherever both have them."""
    plain = replace(config, positions="none", positions_options={}, positions_shared=False, positions_reinjected=False)
    with seeded(config.seed):
        shared = Network(plain, vocab_size, num_classes).state_dict()
    with seeded(config.seed):
        network = Network(config, vocab_size, num_classes)
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if name in shared and not name.startswith("encoder.encodings."):
                tensor.copy_(shared[name])
    return network
