"""Rows of token ids to padded batches: trimmed to their longest row, sorted by length where that pays."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from .ragged import lengths
from .tokenizer import PAD, Tokenizer

Ids = NDArray[np.int64]
Mask = NDArray[np.bool_]
# Batches of a pool are drawn at random from the whole set and sorted by length inside it: padding shrinks,
# while each epoch still mixes the rows anew.
POOL = 32


@dataclass(frozen=True)
class Batch:
    """`ids` and `mask` of shape `(B, L)`, padded on the right; `rows` are the numbers of the texts in it."""

    ids: Ids
    mask: Mask
    rows: NDArray[np.int64]


def pad(ids: Sequence[Ids]) -> tuple[Ids, Mask]:
    """Rows of different lengths as one `(B, L)` array with its mask, L the longest row."""
    sizes = lengths(ids)
    mask = np.arange(sizes.max()) < sizes[:, None]
    padded = np.full(mask.shape, PAD, dtype=np.int64)
    padded[mask] = np.concatenate(ids)
    return padded, mask


def part(batch: Batch, rows: slice) -> Batch:
    """Some rows of a batch, at least one, trimmed to their longest."""
    mask = batch.mask[rows]
    longest = int(mask.sum(1).max())
    return Batch(batch.ids[rows, :longest], mask[:, :longest], batch.rows[rows])


def epoch(
    ids: Sequence[Ids], batch_size: int, rng: np.random.Generator, sort_by_length: bool, start: int = 0
) -> Iterator[Batch]:
    """Every row once, in a new random order; from batch `start` (0-based) on, where the ones before were seen."""
    order = rng.permutation(len(ids))
    batches = np.split(order, range(batch_size, len(order), batch_size))
    if sort_by_length:
        sizes = lengths(ids)
        pools = np.split(order, range(POOL * batch_size, len(order), POOL * batch_size))
        batches = [
            batch
            for pool in pools
            for batch in np.split(
                pool[np.argsort(sizes[pool], kind="stable")], range(batch_size, len(pool), batch_size)
            )
        ]
        batches = [batches[number] for number in rng.permutation(len(batches))]
    for rows in batches[start:]:
        yield Batch(*pad([ids[row] for row in rows]), rows)


def require(texts: Sequence[str]) -> None:
    """Raises DataError for no texts."""
    if not len(texts):
        raise DataError("texts must hold at least one text, got none")


def score_in_batches(
    texts: Sequence[str],
    tokenizer: Tokenizer,
    run: Callable[[Ids, Mask], NDArray[np.float32]],
    tokens_a_batch: int = 4096,
) -> NDArray[np.float32]:
    """Logits of all texts in their own order, computed over batches of similar length. Shape `(N, C)`."""
    require(texts)
    ids = tokenizer.encode(texts).ids
    sizes = ids.lengths
    if len(sizes) * sizes.max() <= tokens_a_batch:
        return run(*pad(ids))
    order = np.argsort(sizes, kind="stable")
    parts: list[NDArray[np.float32]] = []
    start = 0
    while start < len(order):
        # Rows are sorted, so the longest of a batch is its last: take as many as stay within the budget.
        stop = start + 1
        while stop < len(order) and (stop + 1 - start) * sizes[order[stop]] <= tokens_a_batch:
            stop += 1
        parts.append(run(*pad([ids[row] for row in order[start:stop]])))
        start = stop
    logits = np.concatenate(parts)
    result = np.empty_like(logits)
    result[order] = logits
    return result
