"""Parts of a data set that share no text and have its mix of labels, whatever the order of its rows.

Rows with one leak key form a group, and a group is never divided. Where a group goes depends on nothing
but the keys, the labels and the seed.
"""

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np

from ..errors import DataError, UsageError
from ..report import shown
from .text import leak_key

_TINY = 1e-6  # of a row: what adding up shares may be wrong by


def split(
    texts: Sequence[str], labels: Sequence[str], fractions: Sequence[float] = (0.8, 0.1, 0.1), seed: int = 0
) -> list[np.ndarray]:
    """The row indices (0-based, ascending) of each part; `fractions` are the parts' shares and add up to 1.

    Raises: DataError (exit 3) if there is one class only, or a class with fewer distinct texts than parts;
    UsageError (2) for wrong fractions.
    """
    shares = np.asarray(fractions, dtype=float)
    if len(shares) < 2 or not (shares > 0).all() or abs(shares.sum() - 1) > 1e-6:
        raise UsageError(f"fractions must be two or more shares above 0 that add up to 1, got {tuple(fractions)}")
    part_of_row = _parts(texts, labels, shares, seed)
    return [np.flatnonzero(part_of_row == part) for part in range(len(shares))]


def folds(texts: Sequence[str], labels: Sequence[str], k: int, seed: int = 0) -> list[tuple[np.ndarray, np.ndarray]]:
    """`k` pairs of row indices (train, test); every row is in the test part of exactly one of them.

    Raises: as `split`; UsageError (exit 2) for fewer than two folds.
    """
    if k < 2:
        raise UsageError(f"folds must be 2 or more, got {k}")
    part_of_row = _parts(texts, labels, np.full(k, 1 / k), seed)
    return [(np.flatnonzero(part_of_row != part), np.flatnonzero(part_of_row == part)) for part in range(k)]


def without(texts: Sequence[str], other_texts: Sequence[str]) -> np.ndarray:
    """The row indices (0-based, ascending) of the texts whose leak key no other text has."""
    others = {leak_key(text) for text in other_texts}
    return np.array([row for row, text in enumerate(texts) if leak_key(text) not in others], dtype=np.int64)


def _parts(texts: Sequence[str], labels: Sequence[str], shares: np.ndarray, seed: int) -> np.ndarray:
    """The part of each row."""
    if len(texts) != len(labels):
        raise DataError(f"labels must be as many as the texts ({len(texts)}), got {len(labels)}")
    names, label_of_row = np.unique(np.array(labels, dtype=object), return_inverse=True)
    if len(names) < 2:
        only = f" ({shown(str(names[0]), 40)!r})" if len(names) else ""
        raise DataError(f"labels must have 2 or more classes, got {len(names)}{only}")
    _, group_of_row = np.unique(_draws(texts, seed), return_inverse=True)  # groups in the order of their draws
    sizes = np.bincount(group_of_row)
    class_of_group = _majority(group_of_row, label_of_row, len(names))
    part_of_group = np.empty(len(sizes), dtype=np.int64)
    owed = np.zeros(len(shares))  # over the classes so far: spreads the rounding over the parts
    for number, name in enumerate(names):
        groups = np.flatnonzero(class_of_group == number)
        if len(groups) < len(shares):
            raise DataError(
                f"class {shown(str(name), 40)!r} must have {len(shares)} or more distinct texts"
                f" for {len(shares)} parts, got {len(groups)}",
                hint="add rows of this class or remove it, or give the parts as files with --validation and --test",
            )
        groups = groups[np.argsort(-sizes[groups], kind="stable")]  # large ones first, while every part has room
        part_of_group[groups] = _dealt(sizes[groups].tolist(), shares, owed)
    return part_of_group[group_of_row]


def _draws(texts: Sequence[str], seed: int) -> np.ndarray:
    """A 64-bit draw for each text, equal for equal leak keys."""
    keyed = blake2b(digest_size=8, key=str(seed).encode())
    draws = np.empty(len(texts), dtype=np.uint64)
    for row, text in enumerate(texts):
        draw = keyed.copy()
        draw.update(leak_key(text).encode())
        draws[row] = int.from_bytes(draw.digest(), "big")
    return draws


def _majority(group_of_row: np.ndarray, label_of_row: np.ndarray, num_labels: int) -> np.ndarray:
    """The most frequent label of each group, the first by name among equals."""
    pairs, counts = np.unique(group_of_row * num_labels + label_of_row, return_counts=True)
    group, label = np.divmod(pairs, num_labels)
    order = np.lexsort((label, -counts, group))
    _, first = np.unique(group[order], return_index=True)
    return label[order][first]


def _dealt(sizes: list[int], shares: np.ndarray, owed: np.ndarray) -> list[int]:
    """The part of each group of one class: the one that lacks most rows, but no part stays empty.

    With groups of one row every part ends less than one row from its share. What is left when each has its
    whole rows goes to the part that the classes so far owe most; `owed` is carried on.
    """
    lacks, carried = (sum(sizes) * shares).tolist(), owed.tolist()
    empty = set(range(len(lacks)))
    parts: list[int] = []
    for left, size in zip(range(len(sizes), 0, -1), sizes, strict=True):
        candidates = sorted(empty) if left == len(empty) else range(len(lacks))
        part = max(candidates, key=lacks.__getitem__)
        if lacks[part] < 1 - _TINY:
            part = max(candidates, key=lambda part: (lacks[part] > _TINY, lacks[part] + carried[part]))
        lacks[part] -= size
        empty.discard(part)
        parts.append(part)
    owed += lacks
    return parts
