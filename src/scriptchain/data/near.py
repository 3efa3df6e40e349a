"""Lists of words that differ in one word, found exactly up to a collision of hashes.

Two such lists agree on a hash of all words but one: the longer one's without a word and the whole shorter one's, or
both ones' with a hole in the same place.
"""

from collections.abc import Iterator

import numpy as np

NEAR_MIN_WORDS = 5  # in shorter texts one word is most of the meaning

_CHUNK_WORDS = 2**18  # words hashed at a time: bounds the temporary arrays
_MAX_SIGNATURES = 2**22  # sorted at a time


def near(words: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """For each list, a number that it shares with all lists that are one word away, and with theirs.

    List `i` is `words[starts[i] : starts[i] + lengths[i]]`, hashes of 64 bits; those of fewer than NEAR_MIN_WORDS stay
    alone.
    """
    group = np.arange(len(lengths))
    long = np.flatnonzero(lengths >= NEAR_MIN_WORDS)
    for one, other in _Signatures(words, starts[long], lengths[long]).pairs():
        _join(group, long[one], long[other])
    return group


class _Signatures:
    """Hashes of word lists with one word taken out (a hole stays, or the gap closes).

    A list of words is the number `sum(word[i] * BASE**i)` modulo 2**64, so taking a word out of any place
    costs one step, not one walk over the list.
    """

    BASE = np.uint64(0x9E3779B97F4A7C15)
    UNBASE = np.uint64(pow(0x9E3779B97F4A7C15, -1, 2**64))

    def __init__(self, words: np.ndarray, starts: np.ndarray, lengths: np.ndarray):
        self.words, self.starts, self.lengths = words, starts, lengths
        ends = np.cumsum(lengths)
        self.chunks = np.split(np.arange(len(lengths)), np.flatnonzero(np.diff(ends // _CHUNK_WORDS)) + 1)
        self.passes = int(lengths.sum()) // _MAX_SIGNATURES + 1
        longest = int(lengths.max(initial=0))
        self.powers = np.concatenate([[np.uint64(1)], np.cumprod(np.full(longest, self.BASE, dtype=np.uint64))])

    def pairs(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Pairs of lists that differ in one word: enough of them to connect all that do."""
        whole = np.concatenate([self._whole(chunk) for chunk in self.chunks])
        order = np.argsort(whole)
        for chunk in self.chunks:  # one word more or less
            shorter, row = self._without_word(chunk)
            place = np.minimum(np.searchsorted(whole, shorter, sorter=order), max(len(whole) - 1, 0))
            found = whole[order[place]] == shorter if len(whole) else np.zeros(0, dtype=bool)
            yield row[found], order[place[found]]
        for number in range(self.passes):  # another word in the same place
            parts = [self._with_hole(chunk, number) for chunk in self.chunks]
            holes = np.concatenate([signature for signature, _ in parts])
            rows = np.concatenate([row for _, row in parts])
            order_of_holes = np.argsort(holes)
            equal = np.flatnonzero(np.diff(holes[order_of_holes]) == 0)
            yield rows[order_of_holes[equal]], rows[order_of_holes[equal + 1]]

    def _flat(self, chunk: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The row, the place in its row and the hash of each word of the chunk's lists."""
        lengths = self.lengths[chunk]
        row = np.repeat(chunk, lengths)
        place = np.arange(len(row)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        return row, place, self.words[self.starts[row] + place]

    def _sums(self, chunk: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Row, place and term of each word; the sum before it; and the sum of its whole list."""
        row, place, words = self._flat(chunk)
        terms = words * self.powers[place]
        running = np.concatenate([np.zeros(1, dtype=np.uint64), np.cumsum(terms, dtype=np.uint64)])
        ends = np.cumsum(self.lengths[chunk])
        first = np.repeat(running[ends - self.lengths[chunk]], self.lengths[chunk])
        total = np.repeat(running[ends], self.lengths[chunk]) - first
        return row, place, terms, running[:-1] - first, total

    def _whole(self, chunk: np.ndarray) -> np.ndarray:
        _, place, _, _, total = self._sums(chunk)
        return total[place == 0]

    def _without_word(self, chunk: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        row, _, terms, before, total = self._sums(chunk)
        return before + (total - before - terms) * self.UNBASE, row

    def _with_hole(self, chunk: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray]:
        row, _, terms, _, total = self._sums(chunk)
        holes = total - terms  # the places of the words that are left say where the hole is
        mine = (holes >> np.uint64(32)) % np.uint64(self.passes) == number
        return holes[mine], row[mine]


def _join(group: np.ndarray, one: np.ndarray, other: np.ndarray) -> None:
    """Gives the members of each pair, and all that they are joined with, the lowest number among them."""
    while True:
        low, high = np.minimum(group[one], group[other]), np.maximum(group[one], group[other])
        apart = low != high
        if not apart.any():
            return
        one, other = one[apart], other[apart]
        np.minimum.at(group, high[apart], low[apart])
        while (group[group] != group).any():
            group[:] = group[group]
