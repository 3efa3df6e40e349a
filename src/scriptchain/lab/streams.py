"""The streams of all texts at every layer, as tables of real tokens; and texts with their words permuted."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from torch import Tensor

from .stack import Batch, Stack


@dataclass(frozen=True)
class Streams:
    """M real tokens: `layers[l]` is what layer l passes on (0: what enters the first), `(M, d)`.

    `text` and `place` number texts and words inside them, from 0; `place` is -1 for tokens outside the order, `token`
    is the id, -1 where inputs are vectors. `answers` is one row a text.
    """

    layers: list[Float[Tensor, "M d"]]
    text: NDArray[np.int64]
    place: NDArray[np.int64]
    token: NDArray[np.int64]
    answers: NDArray[np.float64]


def collect(stack: Stack, batches: Sequence[Batch]) -> Streams:
    parts: list[list[Tensor]] = []
    columns: list[tuple[NDArray[np.int64], ...]] = []
    answers, before = [], 0
    for batch in batches:
        seen = stack.run(batch)
        parts.append([stream[batch.mask] for stream in seen.streams])
        answers.append(seen.answer.double().cpu().numpy())
        text = torch.arange(before, before + len(batch.mask)).unsqueeze(1).expand(batch.mask.shape)
        before += len(batch.mask)
        token = batch.inputs if batch.inputs.dim() == 2 else torch.full(batch.mask.shape, -1)
        mask = batch.mask.cpu()
        columns.append(tuple(part.cpu()[mask].numpy() for part in (text, places(batch), token)))
    text, place, token = (np.concatenate(column) for column in zip(*columns, strict=True))
    layers = [torch.cat(layer) for layer in zip(*parts, strict=True)]
    return Streams(layers, text, place, token, np.concatenate(answers))


def places(batch: Batch) -> Int[Tensor, "B L"]:
    """The number of each word inside its text; -1 on pads and on tokens outside the order."""
    words = batch.mask & ~batch.outside
    return torch.where(words, words.long().cumsum(1) - 1, -1)


def permuted(batch: Batch, seed: int) -> Batch:
    """The same texts with their words in another order; pads and tokens outside the order stay where they are."""
    order = word_orders(batch, seed)
    rows = torch.arange(len(order), device=order.device).unsqueeze(1)
    return batch.with_inputs(batch.inputs[rows, order])


def reworded(batches: Sequence[Batch], seed: int) -> list[Batch]:
    """The same texts with other words in their places, drawn from the words of all of them."""
    rng = np.random.default_rng([seed, 1])
    words = [batch.mask & ~batch.outside for batch in batches]
    pool = torch.cat([batch.inputs[kept] for batch, kept in zip(batches, words, strict=True)])
    changed = []
    for batch, kept in zip(batches, words, strict=True):
        inputs = batch.inputs.clone()
        inputs[kept] = pool[torch.from_numpy(rng.integers(len(pool), size=int(kept.sum()))).to(pool.device)]
        changed.append(batch.with_inputs(inputs))
    return changed


def word_orders(batch: Batch, seed: int) -> Int[Tensor, "B L"]:
    """The column that each column is filled from when words are permuted."""
    words = batch.mask & ~batch.outside
    order = torch.arange(batch.mask.shape[1], device=batch.mask.device).repeat(len(batch.mask), 1)
    rng = np.random.default_rng(seed)
    for row in range(len(order)):
        columns = torch.nonzero(words[row]).squeeze(1)
        order[row, columns] = columns[torch.from_numpy(rng.permutation(len(columns)))]
    return order


def per_text(values: Float[Tensor, "M"], streams: Streams) -> NDArray[np.float64]:
    """The sum over the tokens of each text."""
    texts = int(streams.text.max()) + 1
    return np.bincount(streams.text, values.double().cpu().numpy(), minlength=texts).astype(np.float64)


def subset(batches: Sequence[Batch], texts: int) -> list[Batch]:
    """The first texts, no more than that many."""
    kept: list[Batch] = []
    for batch in batches:
        left = texts - sum(len(one.mask) for one in kept)
        if left <= 0:
            break
        kept.append(_rows(batch, slice(0, left)))
    return kept


def rebatched(batches: Sequence[Batch], size: int) -> list[Batch]:
    """The same texts in batches of at most `size`, no batch mixed with another: widths differ."""
    return [
        _rows(batch, slice(start, start + size))
        for batch in batches
        for start in range(0, len(batch.mask), size)
    ]  # fmt: skip


def _rows(batch: Batch, rows: slice) -> Batch:
    mask: Bool[Tensor, "B L"] = batch.mask[rows]
    return Batch(
        batch.inputs[rows], mask,
        None if batch.labels is None else batch.labels[rows], None if batch.special is None else batch.special[rows],
    )  # fmt: skip
