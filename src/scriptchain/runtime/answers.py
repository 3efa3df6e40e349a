"""From a text's probabilities to what is said of it: one rule for the command line and the server."""

from collections.abc import Sequence

DIGITS = 6  # decimal places of a score, as it is written


def label_of(names: Sequence[str], scores: Sequence[float], abstain_below: float) -> str | None:
    """The likeliest class, or None where its score, as it is written, is lower: who read it there means that."""
    best = max(range(len(scores)), key=lambda number: scores[number])
    return names[best] if round(scores[best], DIGITS) >= abstain_below else None


def members(names: Sequence[str], scores: Sequence[float], least: float) -> list[str]:
    """The labels with at least that score, the likeliest first."""
    order = sorted(range(len(names)), key=lambda number: -scores[number])
    return [names[number] for number in order if round(scores[number], DIGITS) >= least]
