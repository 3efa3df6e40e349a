"""M6, attention by layer and head: entropy, spread of the logits, and mass that settles on one place.

Entropy is relative to that of a uniform look at the keys that a text has. What is too little follows the length: for
Gaussian logits the softmax condenses on few keys at a spread of sqrt(2 ln n), and twice that spread is the threshold.

*Source*: entropy collapse arXiv 2303.06296; the critical spread arXiv 2505.24333; sinks arXiv 2410.10781.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from .intervals import Measured, of_mean
from .stack import Batch, Stack

COLLAPSED = 2.0  # in critical spreads
EDGES = ("first", "second", "last", "last but one")  # tokens that a sink stands on
EDGE = len(EDGES) // 2


@dataclass(frozen=True)
class Attention:
    """Of one layer: `entropy` and `spread` of the logits, means over heads; `concentration` is the entropy divided by
    the length's threshold; `sink` the mass on `sink_place`, an end of the texts, beyond a uniform look at the keys that
    each query may see, mean over heads; `heads` is the entropy of each head."""

    entropy: Measured
    concentration: Measured
    spread: Measured
    critical: float
    sink: Measured
    sink_place: str
    heads: list[float]


def attention(stack: Stack, batches: Sequence[Batch]) -> list[Attention | None]:
    """Of every layer; None for a layer in which no softmax over the keys was seen."""
    rows: list[list[Float[Tensor, "B H four"] | None]] = [[] for _ in stack.layers]
    sinks: list[list[Float[Tensor, "B H places"]]] = [[] for _ in stack.layers]
    counts: list[NDArray[np.int64]] = []
    for batch in batches:
        counts.append(batch.mask.sum(1).cpu().numpy())
        for number, scores in enumerate(stack.run(batch, scores=True).scores):
            if not scores:
                rows[number].append(None)
                continue
            logits, weights = (torch.cat([one[side] for one in scores], 1).double().cpu() for side in (0, 1))
            mask = batch.mask.cpu()
            visible = mask[:, None, None, :] & (logits > -1e30)
            rows[number].append(torch.stack([_entropy(weights, mask), _spread(logits, visible, mask)], -1))
            uniform = _edges(visible / visible.sum(-1, keepdim=True).clamp(min=1), mask)
            sinks[number].append((_edges(weights, mask) - uniform) / (1 - uniform).clamp(min=1e-9))
    lengths = np.concatenate(counts)
    several = lengths > 1
    threshold = np.array([gaussian_entropy(int(n), COLLAPSED) if n > 1 else np.nan for n in lengths])
    critical = float(np.sqrt(2 * np.log(np.maximum(2, lengths))).mean())
    found: list[Attention | None] = []
    for row, sink in zip(rows, sinks, strict=True):
        kept = [one for one in row if one is not None]
        if len(kept) < len(batches):
            found.append(None)
            continue
        entropy_NH, spread_NH = torch.cat(kept).numpy().transpose(2, 0, 1)
        beyond = torch.cat(sink).numpy()[several]
        place = int(beyond.mean((0, 1)).argmax())
        entropy_N = entropy_NH.mean(1)
        found.append(
            Attention(
                of_mean(entropy_N[several]),
                of_mean((entropy_N / threshold)[several]),
                of_mean(spread_NH.mean(1)[several]),
                critical,
                of_mean(beyond[..., place].mean(1)),
                EDGES[place],
                entropy_NH[several].mean(0).tolist(),
            )
        )
    return found


@cache
def gaussian_entropy(keys: int, spreads: float, draws: int = 2_000) -> float:
    """Mean relative entropy of the softmax of Gaussian logits whose spread is so many times sqrt(2 ln keys)."""
    logits = np.random.default_rng(keys).standard_normal((draws, keys)) * spreads * np.sqrt(2 * np.log(keys))
    weights = np.exp(logits - logits.max(1, keepdims=True))
    weights /= weights.sum(1, keepdims=True)
    return float(-(weights * np.log(np.maximum(weights, 1e-300))).sum(1).mean() / np.log(keys))


def _entropy(weights: Float[Tensor, "B H L L"], mask: Tensor) -> Float[Tensor, "B H"]:
    length = mask.sum(1)
    entropy = -torch.special.xlogy(weights, weights).sum(-1)
    return _of_queries(entropy, mask) / length.clamp(min=2).log().unsqueeze(1)


def _spread(logits: Float[Tensor, "B H L L"], seen: Tensor, mask: Tensor) -> Float[Tensor, "B H"]:
    """Standard deviation over the keys that a query may see."""
    kept = logits.masked_fill(~seen, 0)
    count = seen.sum(-1).clamp(min=1)
    mean = kept.sum(-1) / count
    square = ((kept - mean.unsqueeze(-1)).masked_fill(~seen, 0) ** 2).sum(-1) / count
    return _of_queries(square.sqrt(), mask)


def _edges(weights: Float[Tensor, "B H L L"], mask: Tensor) -> Float[Tensor, "B H places"]:
    """The mean mass on the first and on the last real places; what all texts share can only be counted from an end."""
    mass = _of_queries(weights.transpose(-2, -1), mask, keep=True)
    index = mask.long().cumsum(1) - 1
    last = mask.sum(1, keepdim=True) - 1
    wanted = [index == place for place in range(EDGE)] + [last - index == place for place in range(EDGE)]
    return torch.stack([mass.masked_fill(~(at & mask)[:, None, :], 0).sum(-1) for at in wanted], -1)


def _of_queries(values: Tensor, mask: Tensor, keep: bool = False) -> Tensor:
    """The mean over the real queries, the last axis."""
    real = mask[:, None, None, :] if keep else mask[:, None, :]
    return values.masked_fill(~real, 0).sum(-1) / mask.sum(1).clamp(min=1)[(slice(None), *[None] * (values.dim() - 2))]
