"""Rows of different lengths in one array: a million short texts are some tens of megabytes, not a gigabyte."""

from array import array
from collections.abc import Iterable, Sequence
from typing import SupportsIndex, overload

import numpy as np
from numpy.typing import NDArray

Row = NDArray[np.int64]


class Ragged(Sequence[Row]):
    """Rows of whole numbers from 0 to `below`, one after the other; a row is given as a copy, int64 `(length,)`."""

    def __init__(self, below: int):
        self._values, self._ends = array("H" if below <= 2**16 else "i"), array("q", [0])

    def append(self, row: Iterable[int]) -> None:
        self._values.extend(row)
        self._ends.append(len(self._values))

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, row: SupportsIndex) -> Row: ...
    @overload
    def __getitem__(self, row: slice) -> list[Row]: ...
    def __getitem__(self, row: SupportsIndex | slice) -> Row | list[Row]:
        if isinstance(row, slice):
            return [self[one] for one in range(*row.indices(len(self)))]
        at = range(len(self))[row]  # from the end where it is below 0
        return np.array(self._values[self._ends[at] : self._ends[at + 1]], np.int64)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Of each row, `(N,)`."""
        return np.diff(self._ends)

    def joined(self, rows: NDArray[np.int64]) -> tuple[Row, NDArray[np.int64]]:
        """The numbers of these rows, one row after the other, and the length of each; a copy."""
        ends, values = np.asarray(self._ends), np.asarray(self._values)
        sizes = ends[rows + 1] - ends[rows]
        starts = np.cumsum(sizes) - sizes
        return values[np.repeat(ends[rows] - starts, sizes) + np.arange(sizes.sum())].astype(np.int64), sizes


def joined(rows: Sequence[Row], at: NDArray[np.int64]) -> tuple[Row, NDArray[np.int64]]:
    """The numbers of the rows `at`, one row after the other, and the length of each; a copy."""
    if isinstance(rows, Ragged):
        return rows.joined(at)
    some = [rows[row] for row in at]
    return np.concatenate(some), lengths(some)


def lengths(rows: Sequence[Row]) -> NDArray[np.int64]:
    """Of each row, `(N,)`."""
    return rows.lengths if isinstance(rows, Ragged) else np.fromiter(map(len, rows), np.int64, count=len(rows))
