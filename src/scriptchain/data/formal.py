"""Generated tasks of formal languages: what decides is known, and texts can be longer than those learned from.

Texts of 6 to 20 words teach, texts of up to 40 are scored, so that accuracy by length shows what an encoding makes of
places that it never saw. `parity` is a control, which no encoding of the first paper below learned.
*Source*: the first five as in arXiv 2305.16843; flip-flop arXiv 2306.00946; indexing arXiv 2509.10534.
"""

import itertools
import random
from collections.abc import Callable
from hashlib import blake2b

from ..errors import UsageError

SHORTEST, LEARNED, LONGEST = 6, 20, 40  # words
PARTS = {"train": range(8), "validation": range(8, 9), "test": range(9, 10)}  # of ten, by the text's digest
LETTERS = "abcdefgh"
Made = tuple[list[str], str]


def even_pairs(length: int, rng: random.Random) -> Made:
    """Is the number of places where the letter changes even?"""
    words = rng.choices("ab", k=length)
    changes = sum(one != other for one, other in itertools.pairwise(words))
    return words, "even" if changes % 2 == 0 else "odd"


def missing_duplicate(length: int, rng: random.Random) -> Made:
    """A word stands twice, and one letter of its second half is hidden: which?"""
    half = rng.choices("ab", k=length // 2)
    words, hidden = half + half, length // 2 + rng.randrange(length // 2)
    letter = words[hidden]
    words[hidden] = "x"
    return words, letter


def cycle_navigation(length: int, rng: random.Random) -> Made:
    """Where on a cycle of five places do these steps end?"""
    words = rng.choices(["left", "right", "stay"], k=length)
    return words, f"place {(words.count('right') - words.count('left')) % 5}"


def modular_arithmetic(length: int, rng: random.Random) -> Made:
    """What is the sum of products, modulo five?"""
    words = [rng.choice("01234") if place % 2 == 0 else rng.choice("+-*") for place in range(length - (length + 1) % 2)]
    total, term, sign = 0, int(words[0]), 1
    for operator, number in zip(words[1::2], words[2::2], strict=True):
        if operator == "*":
            term *= int(number)
        else:
            total, term, sign = total + sign * term, int(number), 1 if operator == "+" else -1
    return words, f"rest {(total + sign * term) % 5}"


def parity(length: int, rng: random.Random) -> Made:
    """Is the number of b even?"""
    words = rng.choices("ab", k=length)
    return words, "even" if words.count("b") % 2 == 0 else "odd"


def indexing(length: int, rng: random.Random) -> Made:
    """Which letter stands so many places before the mark?"""
    words = rng.choices(LETTERS, k=length - 1)
    back = rng.randint(1, 4)
    mark = rng.randrange(back, length - 1)
    letter = words[mark - back]
    words[mark] = "mark"
    return [f"back{back}", *words], letter


def flip_flop(length: int, rng: random.Random) -> Made:
    """Bits are written, read and to be ignored: which does the last reading find?"""
    pairs, bit = [], rng.choice("01")
    pairs.append(["write", bit])
    for _ in range(length // 2 - 2):
        word = rng.choices(["write", "read", "ignore"], [1, 1, 8])[0]
        bit = rng.choice("01") if word == "write" else bit
        pairs.append([word, rng.choice("01") if word == "ignore" else bit])
    return [*(word for pair in pairs for word in pair), "read"], f"bit {bit}"


def counting(length: int, rng: random.Random) -> Made:
    """How often does the letter a stand there, none to five times?"""
    often = rng.randint(0, 5)
    words = ["a"] * often + rng.choices("bcd", k=length - often)
    rng.shuffle(words)
    return words, f"{often} times"


FORMAL: dict[str, Callable[[int, random.Random], Made]] = {
    "even_pairs": even_pairs, "missing_duplicate": missing_duplicate, "cycle_navigation": cycle_navigation,
    "modular_arithmetic": modular_arithmetic, "parity": parity, "indexing": indexing, "flip_flop": flip_flop,
    "counting": counting,
}  # fmt: skip


def generate(task: str, part: str, rows: int, seed: int = 0) -> tuple[list[str], list[str]]:
    """Texts and labels; lengths are uniform, and a text is of one part, whatever the seed.

    *Raises*: UsageError for a task or part that does not exist.
    """
    if task not in FORMAL or part not in PARTS:
        raise UsageError(
            f"a formal task and part must be one of {', '.join(FORMAL)} and {', '.join(PARTS)}, got {task!r}, {part!r}"
        )
    rng = random.Random(f"{task} {part} {seed}")
    texts, labels = [], []
    while len(texts) < rows:
        words, label = FORMAL[task](rng.randint(SHORTEST, LONGEST if part == "test" else LEARNED), rng)
        text = " ".join(words)
        if blake2b(text.encode()).digest()[0] % 10 in PARTS[part]:
            texts.append(text)
            labels.append(label)
    return texts, labels
