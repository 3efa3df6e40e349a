"""Generated sets where nothing but word order decides the class: each bag of words occurs equally often in all.

A model that cannot tell positions apart scores exactly chance on them, and one that can has no excuse.
"""

import itertools
import random
from collections.abc import Callable, Iterator
from hashlib import blake2b

from ..errors import UsageError

NAMES = ["anna", "bela", "carl", "dora", "egon", "fritz", "greta", "henry", "ida", "jonas", "karla", "lena"]
VERBS = ["helped", "called", "thanked", "blamed", "followed", "paid", "invited", "praised", "ignored", "pushed"]
TAILS = ["today", "again", "at noon", "in the park", "after lunch", "on monday", "at the station", "without a word"]
SUBJECTS = ["service", "music", "view", "price", "room", "staff", "coffee", "garden", "bread", "wine"]
QUALITIES = ["good", "fresh", "pleasant", "great", "lovely", "decent", "fine", "clean"]
PARTS = {"train": range(8), "validation": range(8, 9), "test": range(9, 10)}


def roles() -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Who did what to whom: is anna the one who acts, or the one it happens to?"""
    for other, verb, tail in itertools.product(NAMES[1:], VERBS, TAILS):
        yield (
            f"{other} {verb} {tail}",
            [
                (f"anna {verb} {other} {tail}", "acts"),
                (f"{other} {verb} anna {tail}", "receives"),
                (f"{tail} anna {verb} {other}", "acts"),
                (f"{tail} {other} {verb} anna", "receives"),
            ],
        )


def negation() -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """What the "not" stands before: is the food what the text says it is, or is the other thing?"""
    for other, quality, tail in itertools.product(SUBJECTS, QUALITIES, TAILS):
        yield (
            f"{other} {quality} {tail}",
            [
                (f"the food was {quality} and the {other} was not {quality} {tail}", "good"),
                (f"the food was not {quality} and the {other} was {quality} {tail}", "bad"),
                (f"the {other} was not {quality} and the food was {quality} {tail}", "good"),
                (f"the {other} was {quality} and the food was not {quality} {tail}", "bad"),
            ],
        )


TASKS: dict[str, Callable[[], Iterator[tuple[str, list[tuple[str, str]]]]]] = {"roles": roles, "negation": negation}


def generate(task: str, part: str, rows: int, seed: int = 0) -> tuple[list[str], list[str]]:
    """Texts and labels; every bag of words stands in one part alone, and whole: all its orders together.

    *Raises*: UsageError for a task or part that does not exist, or more rows than the part holds.
    """
    if task not in TASKS or part not in PARTS:
        raise UsageError(
            f"task and part must be one of {', '.join(TASKS)} and {', '.join(PARTS)}, got {task!r} and {part!r}"
        )
    bags = [orders for key, orders in TASKS[task]() if blake2b(key.encode()).digest()[0] % 10 in PARTS[part]]
    random.Random(seed).shuffle(bags)
    pairs = [pair for orders in bags for pair in orders]
    if rows > len(pairs):
        raise UsageError(f"rows must be at most {len(pairs)} for {task} {part}, got {rows}")
    texts, labels = zip(*pairs[:rows], strict=True)
    return list(texts), list(labels)
