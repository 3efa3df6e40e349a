"""From a text's probabilities to what is said of it: one rule for the command line, Python and the server."""

from collections.abc import Callable, Sequence
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

DIGITS = 6  # decimal places of a score, as it is written


def label_of(names: Sequence[str], scores: Sequence[float], abstain_below: float) -> str | None:
    """The likeliest class, or None where its score, as it is written, is lower: who read it there means that."""
    best = max(range(len(scores)), key=lambda number: scores[number])
    return names[best] if round(scores[best], DIGITS) >= abstain_below else None


def members(names: Sequence[str], scores: Sequence[float], least: float) -> list[str]:
    """The labels with at least that score, the likeliest first."""
    order = sorted(range(len(names)), key=lambda number: -scores[number])
    return [names[number] for number in order if round(scores[number], DIGITS) >= least]


def logits_each(
    logits: Callable[[Sequence[str]], NDArray[np.float32]], texts: Sequence[str]
) -> list[NDArray[np.float32] | None]:
    """Of each text its logits, `(C,)`, or None where the model fails on it or says what is no number.

    Where the texts together fail, each is asked alone: one that breaks the model costs no other its answer.
    """
    with suppress(Exception):
        found = logits(texts)
        if np.isfinite(found).all():
            return list(found)
    if len(texts) == 1:
        return [None]
    return [one for text in texts for one in logits_each(logits, [text])]
