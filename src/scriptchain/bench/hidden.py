"""Scores by hidden words in place of labels: thousands of them a unit, and the same ones whatever the candidate.

A few classes say little about positions, and say it in steps of a row; which word stands in a gap depends on what
stands where. The loss is in nats, a mean over the hidden tokens.
*Source*: arXiv 1810.04805.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy

from ..config import Config
from ..data.batches import pad
from ..data.tokenizer import MASK, Tokenizer, special
from ..model.pipeline import Network
from ..training.masked import SHARE, MaskedModel

TOGETHER = 64  # texts


@dataclass(frozen=True)
class Named:
    """Of each hidden token its loss and whether it was named right, and of which text it is, `(H,)` each."""

    losses: NDArray[np.float64]
    right: NDArray[np.bool_]
    text: NDArray[np.int64]


def model_of(network: Network, config: Config, seed: int) -> MaskedModel:
    """The encoder with a head that starts the same, whatever the encoder drew."""
    torch.manual_seed(seed)
    return MaskedModel(network.encoder, config)


def name(model: MaskedModel, tokenizer: Tokenizer, texts: Sequence[str], config: Config, seed: int) -> Named:
    """What the model makes of the hidden tokens; which are hidden follows from the texts and the seed."""
    ids = tokenizer.encode(texts).ids
    rng = np.random.default_rng(seed)
    first = len(special(config.tokenizer))
    gaps = [(rng.random(len(one)) < SHARE) & (one >= first) for one in ids]
    order = np.argsort(ids.lengths, kind="stable")
    losses, right, text = [], [], []
    model.eval()
    for some in np.split(order, range(TOGETHER, len(order), TOGETHER)):
        batch, mask = (torch.from_numpy(one) for one in pad([ids[row] for row in some]))
        hidden = torch.zeros_like(mask)
        hidden[mask] = torch.from_numpy(np.concatenate([gaps[row] for row in some]))
        with torch.inference_mode():
            logits = model(batch.masked_fill(hidden, MASK), mask, hidden).float()
            losses.append(cross_entropy(logits, batch[hidden], reduction="none").double().numpy())
            right.append((logits.argmax(1) == batch[hidden]).numpy())
        text.append(np.repeat(some, hidden.sum(1).numpy()))
    return Named(np.concatenate(losses), np.concatenate(right), np.concatenate(text))
