"""Contrastive training for few labels: texts of one class are drawn together before a head is fitted.

N texts make N^2 pairs, so that a backbone learns from eight texts a class, where a head's loss alone would fit noise.
What the classes are called is a text of theirs too. *Source*: Khosla et al. 2020, arXiv 2004.11362, for the loss;
Tunstall et al. 2022, arXiv 2209.11055, for its use before a regression.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import normalize

from ..config import Config, replace
from ..data import batches
from ..data.tokenizer import Tokenizer
from ..model.pipeline import Network, places
from ..report import Stream, in_turn
from .loop import Examples, accelerator_for, set_rate, take_step
from .optimizer import make_optimizer
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


@dataclass(frozen=True)
class Pairs:
    """Token ids of each text, label numbers `(N,)`, the line of each: what is learned is who belongs together."""

    ids: Sequence[NDArray[np.int64]]
    labels: NDArray[np.int64]
    lines: Sequence[int] = ()

    def loss(
        self, network: nn.Module, batch: batches.Batch, config: Config, accelerator: Any
    ) -> tuple[Tensor, float, float]:
        """The contrast of a batch; no row of it is right or wrong."""
        assert isinstance(network, Network)
        ids, mask = (torch.from_numpy(one).to(accelerator.device) for one in (batch.ids, batch.mask))
        with accelerator.autocast():
            vectors = vectors_of(network, ids, mask).float()
        return contrast(vectors, torch.from_numpy(self.labels[batch.rows]).to(accelerator.device)), 0.0, 1.0


def draw_together(
    network: Network, examples: Examples, config: Config, *, device: str = "auto", stream: Stream | None = None
) -> None:
    """Trains the encoder in place for `contrastive_steps`, each of `batch_size` texts, as many of each class.

    *Raises*: DivergedError if the loss or a gradient is no longer finite; ResourceError where memory ends; UsageError
    for a device that is not there.
    """
    accelerator = accelerator_for(device, config.precision)
    network.to(accelerator.device).train()
    optimizer, steps = make_optimizer(network, config), config.contrastive_steps
    rate = learning_rate_factor(replace(config, epochs=1), steps)
    pairs, counted = Pairs(examples.ids, examples.labels, examples.lines), examples.weights > 0
    members = [np.flatnonzero(counted & (examples.labels == one)) for one in np.unique(examples.labels[counted])]
    for part in in_turn(steps * config.batch_size, config.batch_size, "contrastive training read", stream):
        step = part.start // config.batch_size
        rows = _some_of_each(members, config.batch_size, order_stream(config.seed, step))
        batch = batches.Batch(*batches.pad(examples.ids, rows), rows)
        set_rate(optimizer, config.learning_rate * rate(step))
        take_step(network, batch, pairs, config, accelerator, optimizer, step + 1)
    network.to("cpu")


def vectors_of(network: Network, ids: Tensor, mask: Tensor) -> Tensor:
    """What the head sees of each text of a padded batch `(B, L)`: `(B, d_model * pooled_layers)`."""
    return network.head.pooling(network.encoder(ids, places(ids, mask)), mask)


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
