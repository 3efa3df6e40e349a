"""M8, what each layer is good for: how it turns the stream, and what happens without it.

A layer that hardly turns the stream may have been built so (gates that start at 0); only trained weights tell, and only
leaving the layer out tells whether it matters.

*Source*: block influence arXiv 2403.03853.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import cosine_similarity, cross_entropy

from .intervals import UNKNOWN, Measured, of_mean
from .order import answers, relative, truths
from .stack import Batch, Stack
from .streams import Streams, per_text


@dataclass(frozen=True)
class Influence:
    """`turn`: 1 - cosine of a token before and after the layer; `skip`: how far answers move without the layer,
    relative to two texts' answers; `loss`: what the cross-entropy gains without it, UNKNOWN without labels."""

    turn: Measured
    skip: Measured
    loss: Measured


def influence(stack: Stack, batches: Sequence[Batch], streams: Streams) -> list[Influence]:
    """Of every layer; one forward each."""
    natural = answers(stack, batches)
    labelled = all(batch.labels is not None for batch in batches)
    whole = _losses(natural, batches) if labelled else None
    lengths = np.bincount(streams.text)
    found = []
    for number in range(len(stack.layers)):
        before, after = (streams.layers[at].double().cpu() for at in (number, number + 1))
        turn = per_text(1 - cosine_similarity(before, after, dim=1), streams) / lengths
        with stack.without(number):
            skipped = answers(stack, batches)
        loss = UNKNOWN if whole is None else of_mean(_losses(skipped, batches) - whole)
        found.append(Influence(of_mean(turn), relative(natural, skipped), loss))
    return found


def _losses(logits: np.ndarray, batches: Sequence[Batch]) -> np.ndarray:
    return cross_entropy(torch.from_numpy(logits), torch.from_numpy(truths(batches)), reduction="none").numpy()
