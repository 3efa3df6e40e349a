"""M7, position by layer: can a linear probe read it, and how much of the stream's variance is position or content?

Words are permuted inside each text first: in a language the word tells much of its place, and a probe on natural text
reads words. Chance is what the lengths alone give, one place of each text (1 / length), never 1 / longest length.

*Source*: probes arXiv 1909.03368 (control task); positions in BERT arXiv 1906.01698, 2010.04903.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from .intervals import UNKNOWN, Measured, over_texts
from .stack import Batch, Stack
from .streams import collect, permuted

PER_WIDTH = 20  # tokens for each of the stream's channels that a linear probe wants
MOST = 8  # permutations of each text at most


@dataclass(frozen=True)
class Places:
    """`probe` is the accuracy beyond chance, 0 at chance and 1 where every place is read; `accuracy` and `chance` the
    shares behind it; `control` the same probe on places dealt at random. `position` and `content` are shares of the
    stream's variance: 0 to 1, less what as many groups explain by chance; `content` is NaN where inputs are vectors."""

    probe: Measured
    accuracy: float
    chance: float
    control: float
    position: Measured
    content: float


def places_by_layer(stack: Stack, batches: Sequence[Batch], seed: int = 0) -> list[Places]:
    """Of every layer, 0 being what enters the first, from as many permutations of each text as the probe needs."""
    width = stack.run(batches[0]).streams[0].shape[-1]
    tokens = sum(int((batch.mask & ~batch.outside).sum()) for batch in batches)
    turns = int(np.clip(np.ceil(PER_WIDTH * width / tokens), 1, MOST))
    copies = [permuted(batch, seed + 1 + turn) for turn in range(turns) for batch in batches]
    texts = sum(len(batch.mask) for batch in batches)
    streams = collect(stack, copies)
    words = streams.place >= 0
    # A text's permutations stay on one side of the split and are resampled together.
    text = streams.text[words] % texts
    place, token = streams.place[words], streams.token[words]
    return [_places(layer.cpu()[torch.from_numpy(words)].double(), text, place, token, seed)
            for layer in streams.layers]  # fmt: skip


def _places(
    h_MD: Float[Tensor, "M d"], text: NDArray[np.int64], place: NDArray[np.int64], token: NDArray[np.int64], seed: int
) -> Places:
    rng = np.random.default_rng(seed)
    order = rng.permutation(int(text.max()) + 1)
    training = np.isin(text, order[: int(0.7 * len(order))])
    right = _probe(h_MD, place, training)
    dealt = _dealt(text, place, rng)
    control = _probe(h_MD, dealt, training).mean()
    tested = text[~training]
    hits, tokens = np.bincount(tested, right), np.bincount(tested).astype(float)
    lengths = _lengths(text, place)
    expected = np.bincount(tested, 1 / lengths[~training])
    kept = tokens > 0
    hits, tokens, expected = hits[kept], tokens[kept], expected[kept]

    def beyond(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        accuracy, chance = weights @ hits / (weights @ tokens), weights @ expected / (weights @ tokens)
        return (accuracy - chance) / (1 - chance)

    accuracy, chance = float(hits.sum() / tokens.sum()), float(expected.sum() / tokens.sum())
    position = _share(h_MD, place)
    content = _share(h_MD, token) if (token >= 0).all() else float("nan")
    return Places(
        over_texts(beyond, len(hits), seed), accuracy, chance, float(control), _resampled(h_MD, text, place, position),
        content,
    )  # fmt: skip


def _probe(h_MD: Float[Tensor, "M d"], place: NDArray[np.int64], training: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which held-out tokens a ridge classifier, one against the rest, puts in their place."""
    fit = torch.from_numpy(training)
    mean, deviation = h_MD[fit].mean(0), h_MD[fit].std(0)
    x_MD = (h_MD - mean) / deviation.clamp(min=1e-12 * float(deviation.max()) + 1e-300)
    one_hot = torch.nn.functional.one_hot(torch.from_numpy(place)).double()
    rate = one_hot[fit].mean(0)
    inner = x_MD[fit].T @ x_MD[fit]
    inner.diagonal().add_(1e-3 * int(fit.sum()))
    weights = torch.linalg.solve(inner, x_MD[fit].T @ (one_hot[fit] - rate))
    said = (x_MD[~fit] @ weights + rate).argmax(1).numpy()
    return said == place[~training]


def _lengths(text: NDArray[np.int64], place: NDArray[np.int64]) -> NDArray[np.int64]:
    longest = np.zeros(int(text.max()) + 1, np.int64)
    np.maximum.at(longest, text, place + 1)
    return longest[text]


def _dealt(text: NDArray[np.int64], place: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """The places of each text in another order: what a probe scores on it, it has memorized."""
    shuffled = np.lexsort((rng.random(len(text)), text))
    ordered = np.argsort(text, kind="stable")
    dealt = np.empty_like(place)
    dealt[shuffled] = place[ordered]
    return dealt


def _share(h_MD: Float[Tensor, "M d"], group: NDArray[np.int64]) -> float:
    """Variance between groups as a share of all, less what so many groups explain by chance (epsilon squared)."""
    _, numbers = np.unique(group, return_inverse=True)
    groups, tokens = int(numbers.max()) + 1, len(numbers)
    if tokens <= groups + 1:
        return float("nan")
    index = torch.from_numpy(numbers)
    count = torch.bincount(index).double()
    centered = h_MD - h_MD.mean(0)
    sums = torch.zeros(groups, h_MD.shape[1], dtype=h_MD.dtype).index_add_(0, index, centered)
    between = float(((sums**2).sum(1) / count).sum())
    whole = float((centered**2).sum())
    if whole == 0:
        return float("nan")
    return max(0.0, 1 - (1 - between / whole) * (tokens - 1) / (tokens - groups))


def _resampled(h_MD: Float[Tensor, "M d"], text: NDArray[np.int64], place: NDArray[np.int64], share: float) -> Measured:
    """The interval of a share from ten parts of the texts (jackknife): a group is one number a channel, not a text."""
    if not np.isfinite(share):
        return UNKNOWN
    part = text % 10
    without = np.array([_share(h_MD[torch.from_numpy(part != one)], place[part != one]) for one in range(10)])
    half = 3.0 * float(np.sqrt(0.9 * ((without - without.mean()) ** 2).sum()))
    return Measured(share, share - half, share + half)
