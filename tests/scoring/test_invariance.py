"""Laws of invariance: a change alters what it says and nothing else, and a flip is counted when a label changes."""

import unicodedata
from collections import Counter
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scriptchain.data.text import model_text
from scriptchain.scoring.intervals import wilson
from scriptchain.scoring.invariance import CHANGES, WORST, invariance

TEXTS = st.text(st.sampled_from("abB é.!3 猫\n🙂\u200bßİ"), max_size=20) | st.text()


@given(st.sampled_from(sorted(CHANGES)), TEXTS, st.integers(0, 1000))
def test_a_change_follows_from_text_and_generator_alone(name, text, seed):
    assert CHANGES[name](text, Random(seed)) == CHANGES[name](text, Random(seed))


@given(TEXTS, st.integers(0, 1000))
def test_a_typo_swaps_two_neighboring_letters_of_one_word(text, seed):
    changed = CHANGES["typo"](text, Random(seed))
    differ = [at for at, (a, b) in enumerate(zip(text, changed, strict=True)) if a != b]
    if changed != text:
        assert differ[1:] == [differ[0] + 1]
        assert changed[differ[0]] + changed[differ[1]] == text[differ[1]] + text[differ[0]]
        assert text[differ[0] - 1 : differ[1] + 1].isalpha()
        assert differ[0] > 0


@given(st.sampled_from(["invisible character", "joiner"]), TEXTS, st.integers(0, 1000))
def test_what_is_invisible_shows_nothing_and_stands_inside_a_word(name, text, seed):
    changed = CHANGES[name](text, Random(seed))
    more = Counter(changed) - Counter(text)
    assert Counter(text) - Counter(changed) == Counter()
    assert [unicodedata.category(character) for character in more.elements()] == ["Cf"] * (changed != text)
    if changed != text:
        at = next(at for at, character in enumerate(changed) if text[at : at + 1] != character)
        assert text == changed[:at] + changed[at + 1 :]
        assert changed[at - 1].isalnum() or changed[at - 1] == "_"


@given(TEXTS, st.integers(0, 1000))
def test_invisible_characters_are_nothing_to_a_model(text, seed):
    assert model_text(CHANGES["invisible character"](text, Random(seed))) == model_text(text)


@given(st.text(st.sampled_from("abé д λ1\u0301")), st.integers(0, 1000))
def test_joiners_are_nothing_to_a_model_in_scripts_that_have_none(text, seed):
    assert model_text(CHANGES["joiner"](text, Random(seed))) == model_text(text)


@given(TEXTS, st.integers(0, 1000))
def test_a_look_alike_is_one_letter_of_another_script(text, seed):
    changed = CHANGES["look-alike letter"](text, Random(seed))
    pairs = [(a, b) for a, b in zip(text, changed, strict=True) if a != b]
    assert len(pairs) == (changed != text)
    for a, b in pairs:
        assert unicodedata.name(a).startswith("LATIN")
        assert unicodedata.name(b).startswith("CYRILLIC")
        assert unicodedata.name(a).split()[1:2] == unicodedata.name(b).split()[1:2]  # small, or capital


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("Fine.", "Fine"),
        ("Fine", "Fine."),
        ("Fine.  ", "Fine"),
        ("Fine...", "Fine..."),
        ("Fine!", "Fine!"),
        ("", ""),
        (".", "."),
        ("7 ", "7."),
    ],
)
def test_a_full_stop_comes_or_goes(text, changed):
    assert CHANGES["final full stop"](text, Random(0)) == changed


def scores(texts):
    """A model that says 1 where a capital letter stands: the more letters, the surer."""
    sure = np.array([0.5 + min(len(text), 40) / 100 for text in texts])
    capital = np.array([any(letter.isupper() for letter in text) for text in texts])
    return np.stack([np.where(capital, 1 - sure, sure), np.where(capital, sure, 1 - sure)], axis=1)


def test_flips_are_counted_among_the_texts_that_were_altered():
    texts = ["fine", "Fine", "FINE", "so it goes", "3 + 4"]
    found = invariance(texts, scores(texts), scores)
    assert {name: result["texts"] for name, result in found.items()} == {
        "typo": 4, "upper case": 3, "lower case": 2, "invisible character": 4, "joiner": 4, "look-alike letter": 4,
        "final full stop": 5,
    }  # fmt: skip
    assert found["upper case"]["flip_rate"] == wilson(2, 3)
    assert found["lower case"]["flip_rate"] == wilson(2, 2)
    assert found["typo"]["flip_rate"] == wilson(0, 4)
    worst = found["upper case"]["worst"]
    assert [flip["text"] for flip in worst] == ["so it goes", "fine"]
    assert worst[0] == {
        "row": 3, "text": "so it goes", "changed": "SO IT GOES", "label": 0, "score": 0.6, "changed_label": 1,
        "changed_score": 0.6,
    }  # fmt: skip


def test_the_worst_are_the_surest_and_few():
    texts = [letter * count for count in range(1, 20) for letter in "ab"]
    worst = invariance(texts, scores(texts), scores)["upper case"]["worst"]
    assert [flip["text"] for flip in worst] == ["a" * 19, "b" * 19, "a" * 18, "b" * 18, "a" * 17][:WORST]


def test_nothing_to_alter_is_no_rate():
    assert invariance(["猫", "!"], scores(["猫", "!"]), scores)["typo"] == {"texts": 0, "flip_rate": None, "worst": []}
