"""Contrastive training for few labels: texts of one class are drawn together before a head is fitted.

N texts make N^2 pairs, so that a backbone learns from eight texts a class, where a head's loss alone would fit noise.
What the classes are called is a text of theirs too. *Source*: Khosla et al. 2020, arXiv 2004.11362, for the loss;
Tunstall et al. 2022, arXiv 2209.11055, for its use before a regression.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from ..config import Config, replace
from ..data import batches
from ..data.tokenizer import Tokenizer
from ..errors import DivergedError
from ..model.pipeline import Network
from ..positions import Positions
from ..report import Stream
from .loop import Examples, accelerator_for
from .optimizer import make_optimizer
from .progress import in_turn
from .schedule import learning_rate_factor
from .seed import order_stream

TEMPERATURE = 0.1  # of the cosines
FEWEST = 2  # texts of a class in a step; one has no other to come close to


def with_names(examples: Examples, names: Sequence[str], tokenizer: Tokenizer) -> Examples:
    """The examples, and each class's name as a text of it, where it has letters."""
    told = [number for number, name in enumerate(names) if any(map(str.isalpha, name))]
    spelled = [names[number].replace("_", " ").replace("-", " ") for number in told]
    ids = tokenizer.encode(spelled).ids if told else []
    return Examples(
        [*examples.ids, *ids],
        np.concatenate([examples.labels, np.array(told, examples.labels.dtype)]),
        np.concatenate([examples.weights, np.ones(len(told), examples.weights.dtype)]),
        [*examples.lines, *[0] * len(told)] if len(examples.lines) else (),
    )


def draw_together(
    network: Network, examples: Examples, config: Config, *, device: str = "auto", stream: Stream | None = None
) -> None:
    """Trains the encoder in place for `contrastive_steps`, each of `batch_size` texts, as many of each class.

    *Raises*: DivergedError if the loss is no longer finite; UsageError for a device that is not there.
    """
    accelerator = accelerator_for(device, config.precision)
    network.to(accelerator.device).train()
    optimizer = make_optimizer(network, config)
    steps = config.contrastive_steps
    rate = learning_rate_factor(replace(config, epochs=1), steps)
    counted = examples.weights > 0
    members = [np.flatnonzero(counted & (examples.labels == one)) for one in np.unique(examples.labels[counted])]
    for part in in_turn(steps * config.batch_size, config.batch_size, "contrastive training read", stream):
        step = part.start // config.batch_size
        rows = _some_of_each(members, config.batch_size, order_stream(config.seed, step))
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * rate(step) * group["share"]
        with accelerator.autocast():
            vectors = vectors_of(network, [examples.ids[row] for row in rows])
        loss = contrast(vectors.float(), torch.from_numpy(examples.labels[rows]).to(accelerator.device))
        if not math.isfinite(loss.item()):
            raise DivergedError(f"the contrastive loss must stay finite, got {loss.item()} at step {step + 1}",
                                hint=f"--set learning_rate={config.learning_rate / 3:.1g}")  # fmt: skip
        optimizer.zero_grad()
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(network.parameters(), config.clip_norm or math.inf)
        optimizer.step()
    network.to("cpu")


def vectors_of(network: Network, ids: Sequence[NDArray[np.int64]]) -> Tensor:
    """What the head sees of each text, `(N, d_model)`."""
    padded, mask = batches.pad(ids)
    device = next(network.parameters()).device
    shown = torch.from_numpy(mask).to(device)
    return network.head.pooling(network.encoder(torch.from_numpy(padded).to(device), Positions.from_mask(shown)), shown)


def contrast(vectors: Tensor, labels: Tensor) -> Tensor:
    """The mean surprise at the others of a text's class among all others, by their cosines; `(N, D)`, `(N,)`.

    A text without another of its class counts nothing.
    """
    directions = normalize(vectors, dim=1)
    itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    logits = (directions @ directions.T / TEMPERATURE).masked_fill(itself, -torch.inf)
    kin = (labels[:, None] == labels) & ~itself
    surprise = -logits.log_softmax(1).masked_fill(~kin, 0.0).sum(1) / kin.sum(1).clamp(min=1)
    return surprise.sum() / kin.any(1).sum().clamp(min=1)


def _some_of_each(members: list[NDArray[Any]], rows: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """As many texts of each class, at least two; where there are too many classes, of some. A small class repeats."""
    chosen = rng.permutation(len(members))[: max(2, rows // FEWEST)]
    each = max(FEWEST, rows // len(chosen))
    return np.concatenate([rng.choice(members[one], each, replace=len(members[one]) < each) for one in chosen])
