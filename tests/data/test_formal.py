"""Laws of the formal tasks: labels are what a second reading says, classes are balanced, parts share no text."""

import math
import re
from collections import Counter

import pytest

from scriptchain.data.formal import FORMAL, LEARNED, LONGEST, PARTS, SHORTEST, generate
from scriptchain.errors import UsageError


def last_read(words):
    found = re.findall(r"write ([01])", " ".join(words))
    return f"bit {found[-1]}"


def steps(words):
    place = 0
    for word in words:
        place = (place + {"left": 4, "right": 1, "stay": 0}[word]) % 5
    return f"place {place}"


def duplicate(words):
    half, at = len(words) // 2, words.index("x")
    assert at >= half
    return words[at - half]


def arithmetic(words):
    terms = re.findall(r"([+-]?)([0-4*]+)", "".join(words))
    total = sum((-1) ** (sign == "-") * math.prod(map(int, term.split("*"))) for sign, term in terms)
    return f"rest {total % 5}"


SECOND = {
    "even_pairs": lambda words: "even" if words[0] == words[-1] else "odd",
    "missing_duplicate": duplicate,
    "cycle_navigation": steps,
    "modular_arithmetic": arithmetic,
    "parity": lambda words: "even" if " ".join(words).count("b") % 2 == 0 else "odd",
    "indexing": lambda words: words[words.index("mark") - int(words[0].removeprefix("back"))],
    "flip_flop": last_read,
    "counting": lambda words: f"{words.count('a')} times",
}


@pytest.mark.parametrize("task", FORMAL)
def test_labels_are_what_a_second_reading_says(task):
    texts, labels = generate(task, "test", 400, seed=1)
    assert [SECOND[task](text.split()) for text in texts] == labels


@pytest.mark.parametrize("task", FORMAL)
def test_classes_are_about_as_frequent_and_lengths_go_further_than_those_learned(task):
    _, labels = generate(task, "train", 2000)
    counts = Counter(labels)
    assert max(counts.values()) < 2.6 * min(counts.values())
    learned = {len(text.split()) for text in generate(task, "train", 2000)[0]}
    scored = {len(text.split()) for text in generate(task, "test", 2000)[0]}
    assert min(learned) >= SHORTEST - 1
    assert max(learned) in (LEARNED - 1, LEARNED)
    assert max(scored) in (LONGEST - 1, LONGEST)


@pytest.mark.parametrize("task", FORMAL)
def test_a_seed_is_a_draw_and_no_text_is_in_two_parts(task):
    assert generate(task, "train", 100, seed=3) == generate(task, "train", 100, seed=3)
    assert generate(task, "train", 100, seed=3) != generate(task, "train", 100, seed=4)
    parts = [set(generate(task, part, 500, seed=seed)[0]) for seed, part in enumerate(PARTS)]
    assert not parts[0] & parts[1]
    assert not (parts[0] | parts[1]) & parts[2]


def test_tasks_that_do_not_exist_are_refused():
    with pytest.raises(UsageError) as error:
        generate("chess", "train", 3)
    assert str(error.value).startswith("a formal task and part must be one of even_pairs, ")
