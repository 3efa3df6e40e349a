"""Planted faults are found with their exact rows, and a clean set is called clean (D16, D18 to D22)."""

# ruff: noqa: N802 - a test is named after its row of the fault catalogue

import io
import unicodedata
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scriptchain import report as progress
from scriptchain.data import near
from scriptchain.data.check import check
from scriptchain.data.records import Records, from_python
from scriptchain.data.text import leak_key, model_text

NOTHING = {"count": 0, "rows": []}


def records(*rows: tuple[str, str] | str, source: str = "data.csv") -> Records:
    if isinstance(rows[0], str):
        return from_python(list(rows), source=source)
    return from_python([row[0] for row in rows], [row[1] for row in rows], source=source)


def clean_rows(number: int = 40) -> list[tuple[str, str]]:
    """Texts of which no two are alike."""
    return [(f"w{n}a w{n}b w{n}c w{n}d w{n}e w{n}f", "glad" if n % 2 else "sad") for n in range(number)]


def found(rows: list[tuple[str, str]], kind: str, against: Records | None = None) -> list[int]:
    report = check(records(*rows), against)
    assert report[kind]["count"] == len(report[kind]["rows"])
    assert report["clean"] is not bool(report["warnings"])
    return report[kind]["rows"]


def printed(report) -> str:
    out = io.StringIO()
    report.print(out)
    return out.getvalue()


def test_a_clean_set_is_clean():
    report = check(records(*clean_rows(), source="my\nfile"), records("other text"))
    assert report.to_dict() == {
        "rows": 40,
        "classes": {"glad": 20, "sad": 20},
        "balance": 1.0,
        "lengths": {"unit": "words", "median": 6, "p95": 6, "max": 6, "covers_99": 6},
        "duplicates": NOTHING,
        "near_duplicates": NOTHING,
        "conflicts": NOTHING,
        "leaks": NOTHING,
        "shift": None,
        "label_variants": [],
        "label_in_text": [],
        "scripts": {"LATIN": 40},
        "scripts_mixed": False,
        "languages": {"unknown": 40},
        "clean": True,
        "warnings": [],
    }
    assert "Nothing found that --strict refuses." in printed(report)


def test_a_file_without_labels_is_checked_too():
    report = check(records("one", "two", "two", "TWO!"))
    assert (report["classes"], report["balance"], report["conflicts"]) == ({}, None, NOTHING)
    assert (report["duplicates"]["rows"], report["near_duplicates"]["rows"]) == ([3], [4])
    assert (report["label_in_text"], report["label_variants"]) == ([], [])


# --- rows that say the same -------------------------------------------------------------------------------------


def test_D18_exact_duplicates_are_the_rows_after_the_first():
    rows = [*clean_rows(4), ("again", "sad"), (" again\u200b", "sad"), ("other", "sad"), ("again", "sad")]
    assert found(rows, "duplicates") == [6, 8]
    assert found(rows, "near_duplicates") == []


def test_D22_one_text_in_two_normal_forms_is_an_exact_duplicate():
    text = "Größe über é"
    rows = [(unicodedata.normalize(form, text), "sad") for form in ("NFC", "NFD")]
    assert found(rows, "duplicates") == [2]


def test_near_duplicates_have_the_same_key_or_differ_in_one_word():
    rows = [
        ("one two three four five", "a"),
        ("One, two, three: FOUR five!", "a"),  # the same key
        ("one two three four six", "a"),  # another word
        ("zero one two three four five", "a"),  # one word more
        ("one two three four five", "a"),  # exact: not counted again
        ("one two three four", "a"),  # one word less, but then there are only four
        ("five four three two one", "a"),  # the same words in another order
        ("one two three five four", "a"),  # two words changed places: that is two words
    ]
    assert found(rows, "near_duplicates") == [2, 3, 4]
    assert found(rows, "duplicates") == [5]


def test_short_texts_are_near_only_by_their_key():
    assert found(
        [("so very very good", "a"), ("so very very bad", "a"), ("So very very good!", "a")], "near_duplicates"
    ) == [3]


def test_near_duplicates_of_near_duplicates_are_in_one_group():
    chain = ["a b c d e", "a b c d x", "a b c y x", "a b z y x", "a w z y x"]
    order = [0, 4, 2, 1, 3]  # the links come after both ends
    assert found([(chain[row], "a") for row in order], "near_duplicates") == [2, 3, 4, 5]


def one_word_apart(one: list[str], other: list[str]) -> bool:
    """The definition, by trying everything."""
    if min(len(one), len(other)) < 5:
        return False
    if len(one) == len(other):
        return sum(a != b for a, b in zip(one, other, strict=True)) == 1
    short, long = sorted((one, other), key=len)
    return any(long[:place] + long[place + 1 :] == short for place in range(len(long)))


def expected_near(texts: list[str]) -> list[int]:
    keys = [leak_key(text) for text in texts]
    group = list(range(len(texts)))
    for one, other in combinations(range(len(texts)), 2):
        if keys[one] == keys[other] or one_word_apart(keys[one].split(), keys[other].split()):
            low, high = sorted((group[one], group[other]))
            group = [low if member == high else member for member in group]
    seen = [model_text(text) for text in texts]
    return [row + 1 for row in range(len(texts)) if seen[row] not in seen[:row] and group[row] != row]


SENTENCES = st.lists(st.sampled_from(["a", "b", "B", "c!"]), min_size=4, max_size=8).map(" ".join)


@given(st.lists(SENTENCES, min_size=1, max_size=12), st.sampled_from([(2**22, 2**25), (5, 2**25), (5, 20)]))
def test_near_duplicates_are_exactly_those_of_the_definition(texts, limits):
    with pytest.MonkeyPatch.context() as patch:  # small limits: chunks and passes must make no difference
        patch.setattr(near, "_CHUNK_WORDS", limits[0])
        patch.setattr(near, "_MAX_SIGNATURES", limits[1])
        assert check(records(*texts))["near_duplicates"]["rows"] == expected_near(texts)


def test_a_template_with_one_blank_costs_no_square():
    texts = [f"the price of my number {row} is a good one today" for row in range(20_000)]
    report = check(records(*texts))
    assert report["near_duplicates"]["count"] == 19_999
    assert report["near_duplicates"]["rows"] == list(range(2, 102))


def test_D19_conflicts_are_all_rows_of_a_text_with_two_labels():
    rows = [
        *clean_rows(4),
        ("it is fine", "glad"),
        ("It is fine!", "sad"),
        ("it is fine", "glad"),
        ("no", "sad"),
        ("no", "sad"),
    ]
    assert found(rows, "conflicts") == [5, 6, 7]
    table = next(part for part in check(records(*rows)).body if getattr(part, "title", "") == "Conflicts")
    assert [row[:3] for row in table.rows] == [[5, 6, "glad"], [6, 5, "sad"], [7, 6, "glad"]]


def test_D20_leaks_are_rows_that_stand_in_the_other_file():
    train = records(("Same thing", "glad"), ("more", "sad"), ("ｓａｍｅ thing", "glad"), source="train.csv")
    rows = [*clean_rows(4), ("same THING!", "sad"), ("same things", "sad"), (" Same\u00a0thing", "glad")]
    assert found(rows, "leaks", train) == [5, 7]
    assert found(rows, "leaks") == []
    report = check(records(*rows), train)
    assert "rows that stand in the other file too: 2" in report["warnings"]
    table = next(part for part in report.body if getattr(part, "title", "") == "Leaks")
    assert table.columns[1] == "like line of train.csv"
    assert table.rows == [[5, 1, "sad", "same THING!"], [7, 1, "glad", " Same\u00a0thing"]]


@given(st.lists(st.sampled_from(["x", "X", "y", "z!", "w"]), min_size=1), st.lists(st.sampled_from(["x.", "Y", "v"])))
def test_leaks_are_exactly_the_common_keys(texts, others):
    keys = {leak_key(text) for text in others}
    against = Records(others, None, list(range(1, len(others) + 1)), "train.csv")
    rows = [row for row, text in enumerate(texts, 1) if leak_key(text) in keys]
    assert check(records(*texts), against)["leaks"] == {"count": len(rows), "rows": rows[:100]}


def test_only_the_first_hundred_rows_are_listed_and_three_are_shown():
    report = check(records(*["same"] * 301))
    assert report["duplicates"] == {"count": 300, "rows": list(range(2, 102))}
    table = next(part for part in report.body if getattr(part, "title", "") == "Duplicates")
    assert (table.rows, table.note) == (
        [[2, 1, None, "same"], [3, 1, None, "same"], [4, 1, None, "same"]],
        "and 297 more",
    )


def test_examples_name_lines_and_escape_what_could_harm_a_terminal():
    data = Records(["a\x1b[31m", "b", "a\x1b[31m"], ["x\n"] * 3, [2, 3, 7], "data.csv")
    text = printed(check(data))
    assert "\x1b" not in text
    assert "7          2  x\\u000a  a\\u001b[31m" in text


# --- labels -----------------------------------------------------------------------------------------------------


def test_D16_labels_that_differ_by_case_or_space_are_listed():
    names = ["Spam", "spam ", "ham", "SPAM", "ham  radio", "Ham radio"]
    report = check(records(*[(f"text {n}", name) for n, name in enumerate(names)]))
    assert report["label_variants"] == [["Ham radio", "ham  radio"], ["SPAM", "Spam", "spam "]]
    assert "labels that differ only by case or space: 'Ham radio', 'ham  radio'" in report["warnings"]
    assert report["clean"] is False


def test_D21_a_label_that_stands_in_its_own_texts_is_named():
    rows = [(f"w{n} so Happy! indeed", "happy") for n in range(3)] + [(f"v{n} today", "happy") for n in range(3)]
    rows += [(f"u{n} yesterday", "sad") for n in range(6)]
    report = check(records(*rows))
    assert report["label_in_text"] == [{"label": "happy", "share": 0.5, "count": 3}]
    assert report["warnings"][0] == "label 'happy' stands in 50.0 % of its own texts"
    assert report["clean"] is False


@pytest.mark.parametrize(
    ("own", "others", "told"),
    [(3, 0, True), (2, 0, False), (3, 1, True), (3, 4, False)],
    ids=["in half", "too seldom", "seldom elsewhere", "as often elsewhere"],
)
def test_D21_a_word_that_is_common_everywhere_tells_nothing(own, others, told):
    rows = [(f"w{n} {'very_good' if n < own else 'fine'}".replace("_", " "), "very_good") for n in range(6)]
    rows += [(f"v{n} {'very good' if n < others else 'fine'}", "bad") for n in range(8)]
    assert bool(check(records(*rows))["label_in_text"]) is told


def test_D21_two_texts_are_too_few_to_tell():
    assert check(records(("so good", "good"), ("good too", "good"), ("other", "bad")))["label_in_text"] == []


def test_D21_a_part_of_a_word_is_not_the_word():
    rows = [(f"w{n} unhappy", "happy") for n in range(6)] + [(f"v{n}", "sad") for n in range(6)]
    assert check(records(*rows))["label_in_text"] == []


def test_remarks_are_no_reason_to_refuse():
    report = check(records(*[(f"text {n}", "many") for n in range(101)], ("word", "few")))
    assert report["balance"] == 101
    assert report["warnings"] == [
        "classes with fewer than 10 rows: 'few'",
        "the largest class has more than ten times the rows of the smallest: read macro F1, not accuracy, and try "
        "--set class_weights=balanced",
    ]
    assert report["clean"] is True
    report = check(Records(["a b"] * 1, ["x"], [1], "d", ["text column: tweet"]))
    assert report["warnings"][:2] == ["text column: tweet", "there is one class only: nothing can be learned"]


# --- lengths, scripts, languages --------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 300), min_size=1, max_size=200))
def test_lengths_cover_the_rows_that_they_say(lengths):
    texts = ["x " * length for length in lengths]
    for report in (
        check(records(*texts)),
        check(records(*texts), tokens=lambda part: [text.count("x") for text in part]),
    ):
        facts = report["lengths"]
        values = np.array(lengths)
        assert facts["max"] == values.max()
        for key, share in (("median", 0.5), ("p95", 0.95), ("covers_99", 0.99)):
            assert (values <= facts[key]).mean() >= share
            assert (values < facts[key]).mean() < share
    assert facts["unit"] == "tokens"


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("plain text", "LATIN"),
        ("größer 😀", "LATIN"),
        ("ｗｉｄｅ 𝐛𝐨𝐥𝐝", "LATIN"),
        ("Привет, мир ok", "CYRILLIC"),
        ("مرحبا", "ARABIC"),
        ("日本語のテキスト", "CJK"),
        ("カタカナ", "CJK"),
        ("한국어", "HANGUL"),
        ("ελ ab", "GREEK"),
        ("123 😀 !", "NONE"),
        ("123", "NONE"),
    ],
)
def test_the_script_of_a_text_is_that_of_most_letters(text, script):
    assert check(records(text))["scripts"] == {script: 1}


def test_scripts_are_mixed_from_one_per_cent_on():
    latin = [text for text, _ in clean_rows(99)]
    report = check(records(*latin, "совсем другое"))
    assert (report["scripts"], report["scripts_mixed"], report["clean"]) == ({"LATIN": 99, "CYRILLIC": 1}, True, False)
    assert report["warnings"] == ["scripts are mixed: LATIN, CYRILLIC"]
    latin = [text for text, _ in clean_rows(100)]
    assert check(records(*latin, "совсем другое"))["clean"] is True
    assert check(records(*latin, "123", "456"))["clean"] is True


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("First day of school is Monday, and she slept with her bag on.", "en"),
        ("Das ist nicht mein Tag und ich bin müde", "de"),
        ("Je ne suis pas content, mais c'est la vie", "fr"),
        ("No es lo que quiero para mi casa", "es"),
        ("Non è una bella giornata per me", "it"),
        ("Não é uma boa ideia para mim", "pt"),
        ("Het is niet een goed idee van mij", "nl"),
        ("great stuff", "unknown"),
        ("the stuff", "unknown"),
        ("the and die das", "unknown"),
    ],
)
def test_the_language_of_a_latin_text_is_guessed_by_its_small_words(text, language):
    assert check(records(text))["languages"] == {language: 1}


def test_only_latin_texts_have_a_language():
    assert check(records("Привет, мир"))["languages"] == {}


def test_a_long_file_says_how_far_the_check_is(monkeypatch):
    monkeypatch.setattr(progress, "SILENT", -1.0)
    told = io.StringIO()
    check(from_python([f"text {row}" for row in range(2_500)]), stream=told)
    assert [line.split(" texts, ")[0] for line in told.getvalue().splitlines()] == [
        f"checked {done} of 2,500" for done in ("1,000", "2,000", "2,500")
    ]
