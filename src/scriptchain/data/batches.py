"""Rows of token ids to padded batches: trimmed to their longest row, sorted by length where that pays."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from .ragged import joined, lengths
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


def pad(ids: Sequence[Ids], rows: NDArray[np.int64] | None = None) -> tuple[Ids, Mask]:
    """The texts of these rows, or all, as one `(B, L)` array with its mask, L the longest of them."""
    rows = np.arange(len(ids)) if rows is None else rows
    numbers, sizes = joined(ids, rows)
    mask = np.arange(sizes.max()) < sizes[:, None]
    padded = np.full(mask.shape, PAD, dtype=np.int64)
    padded[mask] = numbers
    return padded, mask


def part(batch: Batch, rows: slice) -> Batch:
    """Some rows of a batch, at least one, trimmed to their longest."""
    mask = batch.mask[rows]
    longest = int(mask.sum(1).max())
    return Batch(batch.ids[rows, :longest], mask[:, :longest], batch.rows[rows])


@dataclass(frozen=True)
class Limit:
    """What a batch holds: `rows`, or, where `tokens` is not 0, as many rows as come to that many tokens."""

    rows: int
    tokens: int = 0

    def batches(self, sizes: NDArray[np.int64]) -> int:
        """How many batches rows of these lengths make."""
        return -(-int(sizes.sum()) // self.tokens) if self.tokens else -(-len(sizes) // self.rows)


def epoch(
    ids: Sequence[Ids], limit: Limit, rng: np.random.Generator, sort_by_length: bool, start: int = 0
) -> Iterator[Batch]:
    """Every row once, in a new random order; from batch `start` (0-based) on, where the ones before were seen."""
    order, sizes = rng.permutation(len(ids)), lengths(ids)
    batches = _cut(order, sizes, limit, limit.batches(sizes))
    if sort_by_length:
        pools = [batches[first : first + POOL] for first in range(0, len(batches), POOL)]
        batches = []
        for pool in pools:
            rows = np.concatenate(pool)
            batches += _cut(rows[np.argsort(sizes[rows], kind="stable")], sizes, limit, len(pool))
        batches = [batches[number] for number in rng.permutation(len(batches))]
    for rows in batches[start:]:
        yield Batch(*pad(ids, rows), rows)


def _cut(rows: NDArray[np.int64], sizes: NDArray[np.int64], limit: Limit, number: int) -> list[NDArray[np.int64]]:
    """Rows in their order as `number` batches, none of them empty: with a limit of tokens, of nearly as many each."""
    if not limit.tokens:
        return np.split(rows, range(limit.rows, len(rows), limit.rows))
    ends = np.cumsum(sizes[rows])
    before = np.arange(1, number)
    cuts = np.searchsorted(ends - sizes[rows] / 2, before * (ends[-1] / number)) - before
    return np.split(rows, np.clip(np.maximum.accumulate(cuts), 0, len(rows) - number) + before)


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
    if len(ids) == 1:  # nothing to sort or pad, and one text alone is what a server waits for
        (one,) = ids
        return run(one[None], np.ones((1, len(one)), dtype=bool))
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
        parts.append(run(*pad(ids, order[start:stop])))
        start = stop
    logits = np.concatenate(parts)
    result = np.empty_like(logits)
    result[order] = logits
    return result
