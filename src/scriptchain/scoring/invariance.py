"""Which changes of a text that mean nothing change the answer: the invariance tests of CheckList, as flip rates.

Source: Ribeiro et al. 2020, "Beyond Accuracy: Behavioral Testing of NLP Models with CheckList". A model need not be
right to be invariant: no labels are asked for, only whether an answer stays what it was.
"""

import re
from collections.abc import Callable, Sequence
from random import Random
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from .intervals import Interval, wilson
from .order import own_random

WORST = 5


class Flip(TypedDict):
    """One text whose label changed, with the probabilities of both labels."""

    row: int
    text: str
    changed: str
    label: int
    score: float
    changed_label: int
    changed_score: float


class Invariance(TypedDict):
    """`texts`: how many the change altered; `flip_rate`: the share of them whose label changed; the worst of those."""

    texts: int
    flip_rate: Interval | None
    worst: list[Flip]


def typo(text: str, random: Random) -> str:
    """Two neighboring letters inside one word change places; the first letter stays, as it mostly does."""
    places = [at for at in range(1, len(text) - 1) if text[at - 1 : at + 2].isalpha() and text[at] != text[at + 1]]
    if not places:
        return text
    at = random.choice(places)
    return text[:at] + text[at + 1] + text[at] + text[at + 2 :]


def upper_case(text: str, random: Random) -> str:
    return text.upper()


def lower_case(text: str, random: Random) -> str:
    return text.lower()


def invisible(text: str, random: Random) -> str:
    """A character that shows nothing, inside a word."""
    return _insert(text, random, "\u200b\u00ad\u2060\u200e\ufeff")


def joiner(text: str, random: Random) -> str:
    """U+200D or U+200C inside a word: as invisible, but some scripts and emoji are spelled with them."""
    return _insert(text, random, "\u200d\u200c")


def look_alike(text: str, random: Random) -> str:
    """One Latin letter becomes the Cyrillic one of the same look."""
    places = [at for at, letter in enumerate(text) if letter in _LOOK_ALIKE]
    if not places:
        return text
    at = random.choice(places)
    return text[:at] + _LOOK_ALIKE[text[at]] + text[at + 1 :]


def final_mark(text: str, random: Random) -> str:
    """The full stop behind the last word goes, or comes where there is none."""
    short = text.rstrip()
    if short.endswith(".") and short[-2:-1].isalnum():
        return short[:-1]
    return f"{short}." if short[-1:].isalnum() else text


CHANGES: dict[str, Callable[[str, Random], str]] = {
    "typo": typo,
    "upper case": upper_case,
    "lower case": lower_case,
    "invisible character": invisible,
    "joiner": joiner,
    "look-alike letter": look_alike,
    "final full stop": final_mark,
}


def invariance(
    texts: Sequence[str],
    probabilities: NDArray[np.floating],
    score: Callable[[Sequence[str]], NDArray[np.floating]],
    seed: int = 0,
) -> dict[str, Invariance]:
    """Each change made to all N texts it can alter, and what became of their labels.

    `probabilities` (N, C) are those of the texts as they are; `score` gives those of any n others, (n, C). A change
    depends on the seed and the text alone. The worst flips are those that were surest before and after.
    """
    found: dict[str, Invariance] = {}
    for name, change in CHANGES.items():
        changed = {row: change(text, own_random(f"{name}\0{text}", seed)) for row, text in enumerate(texts)}
        altered = {row: text for row, text in changed.items() if text != texts[row]}
        if not altered:
            found[name] = {"texts": 0, "flip_rate": None, "worst": []}
            continue
        before_NC, after_NC = probabilities[list(altered)], score(list(altered.values()))
        flips: list[Flip] = [
            {
                "row": row,
                "text": texts[row],
                "changed": text,
                "label": int(before_C.argmax()),
                "score": float(before_C.max()),
                "changed_label": int(after_C.argmax()),
                "changed_score": float(after_C.max()),
            }
            for (row, text), before_C, after_C in zip(altered.items(), before_NC, after_NC, strict=True)
            if before_C.argmax() != after_C.argmax()
        ]
        worst = sorted(flips, key=lambda flip: -min(flip["score"], flip["changed_score"]))[:WORST]
        found[name] = {"texts": len(altered), "flip_rate": wilson(len(flips), len(altered)), "worst": worst}
    return found


def _insert(text: str, random: Random, characters: str) -> str:
    places = [match.start() + 1 for match in re.finditer(r"\w(?=\w)", text)]
    if not places:
        return text
    at = random.choice(places)
    return text[:at] + random.choice(characters) + text[at:]


_LOOK_ALIKE = dict(zip("aceopxyABEHIKMOPTX", "асеорхуАВЕНІКМОРТХ", strict=True))
