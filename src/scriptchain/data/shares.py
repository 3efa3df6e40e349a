"""Do two files hold the classes in the same shares? A score, a temperature or a label set is of the shares it was
measured at."""

from collections import Counter
from collections.abc import Sequence
from typing import TypedDict

import numpy as np

DRAWS = 2_000
SURE, FAR = 0.001, 0.02  # a shift is named where chance makes it so rarely, and it is at least so far


class Shift(TypedDict):
    """`distance` is the total variation of the shares, in 0..1: so many rows have another class than they would have
    in the other file, and by so much at most a coverage or an accuracy moves. `p_value` says how often rows that are
    dealt to the two files by chance lie as far apart. `label` is the class that moved the most, with its shares."""

    distance: float
    p_value: float
    label: str
    share: float
    other_share: float


def shift(labels: Sequence[str], others: Sequence[str]) -> Shift | None:
    """None where one of the two is empty. The p-value is from `DRAWS` deals of the rows, with a seed."""
    if not labels or not others:
        return None
    here, there = Counter(labels), Counter(others)
    names = sorted(here | there)
    counts = np.array([[side[name] for name in names] for side in (here, there)])
    pooled, rows = counts.sum(0), len(labels)
    apart = counts[0] / rows - counts[1] / len(others)
    dealt = np.random.default_rng(0).multivariate_hypergeometric(pooled, rows, DRAWS, method="marginals")
    distances = _distances(np.vstack([counts[:1], dealt]), pooled, rows)  # the two files are one deal more
    most = int(np.abs(apart).argmax())
    return {
        "distance": float(distances[0]),
        "p_value": float((distances >= distances[0] - 1e-12).mean()),
        "label": names[most],
        "share": float(counts[0, most] / rows),
        "other_share": float(counts[1, most] / len(others)),
    }


def _distances(counts: np.ndarray, pooled: np.ndarray, rows: int) -> np.ndarray:
    """Between each of `counts` `(N, C)`, of so many rows, and what is left of `pooled` `(C,)`."""
    return np.abs(counts / rows - (pooled - counts) / (pooled.sum() - rows)).sum(-1) / 2
