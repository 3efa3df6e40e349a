"""What paired scores say of two candidates: better, worse, equivalent within a margin, or not decided yet.

Folds share the rows that they learn from, so that their differences spread less than those of new data would: the
variance is corrected as Nadeau and Bengio 2003 do. Over several candidates all p values are Holm's (1979). Equivalence
is shown by two one-sided tests (Schuirmann 1987), and goes before better and worse: a difference that is real and
smaller than the margin is none to choose by.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

LEVEL = 0.05
POWER = 0.8
FEWEST = 3  # units that a difference is judged by
MOST = 1000  # units that anybody would train


@dataclass(frozen=True)
class Difference:
    """Of a candidate's scores to the baseline's on the same units: shares from -1 to 1, a 95 % interval, `sd` of the
    single differences, the correlation that the pairing achieved, and how many units it rests on."""

    value: float
    low: float
    high: float
    sd: float
    error: float
    correlation: float
    units: int

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def difference(ours: ArrayLike, theirs: ArrayLike, overlap: float, row: float, bound: float = 1.0) -> Difference:
    """`overlap` is scored rows a learned row where units share rows, 0 where not; `row` what one row is worth, below
    whose half no spread is believed; `bound` what no difference exceeds."""
    a, b = np.asarray(ours, float), np.asarray(theirs, float)
    gaps, units = a - b, len(a)
    if units < 2:
        return Difference(float(gaps.mean()) if units else math.nan, -bound, bound, math.nan, math.nan, math.nan, units)
    sd = max(float(gaps.std(ddof=1)), row / 2)
    error = sd * math.sqrt(1 / units + overlap)
    half = float(stats.t.ppf(1 - LEVEL / 2, units - 1)) * error
    same = units < FEWEST or a.std() == 0 or b.std() == 0  # two points lie on a line
    correlation = math.nan if same else float(np.corrcoef(a, b)[0, 1])
    mean = float(gaps.mean())
    return Difference(mean, max(-bound, mean - half), min(bound, mean + half), sd, error, correlation, units)


def judge(found: Mapping[str, Difference], margin: float, overlap: float) -> dict[str, dict[str, Any]]:
    """The verdict on each candidate, its two p values after Holm, and how many units more would decide it."""
    names = [name for name, one in found.items() if one.units >= FEWEST]
    differs = dict(zip(names, _holm([_p_differs(found[name]) for name in names]), strict=True))
    equal = dict(zip(names, _holm([_p_equivalent(found[name], margin) for name in names]), strict=True))
    told: dict[str, dict[str, Any]] = {}
    for name, one in found.items():
        verdict, more = "UNDECIDED", None
        if name in names and equal[name] <= LEVEL:
            verdict = "equivalent"
        elif name in names and differs[name] <= LEVEL:
            verdict = "better" if one.value > 0 else "worse"
        else:
            more = units_needed(one, margin, overlap, len(found))
        told[name] = {"verdict": verdict, "p_differs": differs.get(name), "p_equivalent": equal.get(name),
                      "more_units": None if more is None else max(1, more - one.units)}  # fmt: skip
    return told


def units_needed(one: Difference, margin: float, overlap: float, candidates: int = 1) -> int | None:
    """Units after which this difference, if it stays as it is, would be decided; None where 1,000 would not do.

    Where there are fewer than any verdict needs, their number is all that can be said.
    """
    if one.units < FEWEST:
        return FEWEST
    units = np.arange(max(FEWEST, one.units + 1), MOST + 1)
    error = one.sd * np.sqrt(1 / units + overlap)
    two, single = (stats.t.ppf(1 - LEVEL / candidates / sides, units - 1) * error for sides in (2, 1))
    enough = (abs(one.value) > two) | (abs(one.value) + single < margin)
    return int(units[enough.argmax()]) if enough.any() else None


def power_table(sd: float, overlap: float, units: Sequence[int]) -> list[tuple[int, float]]:
    """For each number of units the smallest difference that four of five comparisons would see."""
    return [
        (number, float(stats.t.ppf(1 - LEVEL / 2, number - 1) + stats.t.ppf(POWER, number - 1))
         * sd * math.sqrt(1 / number + overlap))
        for number in units
    ]  # fmt: skip


def _p_differs(one: Difference) -> float:
    return float(2 * stats.t.sf(abs(one.value) / one.error, one.units - 1))


def _p_equivalent(one: Difference, margin: float) -> float:
    return float(stats.t.sf((margin - abs(one.value)) / one.error, one.units - 1))


def _holm(p: Sequence[float]) -> NDArray[np.float64]:
    """p values that may each be held against the level on their own."""
    values = np.asarray(p, float)
    found = np.empty_like(values)
    highest = 0.0
    for rank, at in enumerate(np.argsort(values, kind="stable")):
        highest = max(highest, min(1.0, float(values[at]) * (len(values) - rank)))
        found[at] = highest
    return found
