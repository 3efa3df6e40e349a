"""Laws of what every job ends in: always JSON, always escaped, always aligned."""

import io
import itertools
import json
import math
import re
import time
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scriptchain.report import Report, Table, duration, finite, in_turn, percent, shown, with_interval

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
DOCUMENTS = st.dictionaries(
    st.text(max_size=5),
    st.recursive(
        SCALARS,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.lists(inner, max_size=3).map(tuple)
            | st.dictionaries(st.text(max_size=5), inner, max_size=3)
        ),
        max_leaves=8,
    ),
    max_size=4,
)


# --- JSON ----------------------------------------------------------------------------------------------------


def no_constant(name: str) -> None:
    raise AssertionError(f"{name} is not JSON")


@given(DOCUMENTS)
def test_a_document_is_always_json(data):
    read = json.loads(Report("title", data).to_json(), parse_constant=no_constant)
    assert read == json.loads(json.dumps(finite(data)))
    assert json.loads(Report("title", data).to_json(indent=None)) == read


@given(DOCUMENTS)
def test_finite_changes_nothing_but_what_json_cannot_say(data):
    def same(before, after):
        if isinstance(before, float) and not math.isfinite(before):
            assert after is None
        elif isinstance(before, dict):
            assert list(before) == list(after)
            for key in before:
                same(before[key], after[key])
        elif isinstance(before, (list, tuple)):
            assert isinstance(after, list)
            for one, other in zip(before, after, strict=True):
                same(one, other)
        else:
            assert (type(before), before) == (type(after), after)

    same(data, finite(data))
    assert finite(finite(data)) == finite(data)


def test_numbers_that_are_none_become_null():
    report = Report("t", {"a": math.nan, "b": [math.inf, -math.inf, 1.5], "c": {"d": math.nan}})
    assert report.to_json(indent=None) == '{"a": null, "b": [null, null, 1.5], "c": {"d": null}}'


def test_json_keeps_other_scripts_readable():
    assert Report("t", {"etikett": "größer 猫"}).to_json(indent=None) == '{"etikett": "größer 猫"}'


def test_a_report_reads_like_its_document():
    report = Report("t", {"rows": 3})
    assert (report["rows"], report.to_dict()) == (3, {"rows": 3})


# --- HTML ----------------------------------------------------------------------------------------------------

NASTY = st.text(st.sampled_from([*"<>&\"'/=! ab", "\u202e", "\0"]), max_size=12) | st.sampled_from(
    ["<script>alert(1)</script>", "</td><td>", "<!--", "&lt;", "' onload='x"]
)
TAGS = {"section", "h2", "div", "table", "thead", "tr", "th", "tbody", "td", "p"}


@given(st.lists(NASTY, min_size=1, max_size=3), NASTY, NASTY, NASTY)
def test_html_has_no_tag_that_is_not_ours(cells, title, note, sentence):
    table = Table(title, cells, [cells], note)
    page = Report("t", {}, [table, sentence]).to_html()
    tags = re.findall(r"<[^>]*>", page)
    assert {tag.strip("</>").split(" ")[0] for tag in tags} <= TAGS
    assert {tag for tag in tags if " " in tag} <= {"<div class=scroll>", "<p class=note>"}
    assert page.count("<") == len(tags)
    assert page.count("<td>") == len(cells)
    text = unescape(re.sub(r"<[^>]*>", "\n", page))
    for part in (*cells, title, note, sentence):
        assert unescape(part) in unescape(text)


def test_html_escapes_every_place():
    report = Report("t", {}, [Table("<t>", ["<c>"], [["<v>"], [None], [0.5]], note="<n>"), "<s>"])
    assert report.to_html() == (
        "<section><h2>&lt;t&gt;</h2><div class=scroll><table><thead><tr><th>&lt;c&gt;</th></tr></thead>"
        "<tbody><tr><td>&lt;v&gt;</td></tr><tr><td>-</td></tr><tr><td>0.5</td></tr></tbody></table></div>"
        "<p class=note>&lt;n&gt;</p></section>\n<p>&lt;s&gt;</p>"
    )


# --- markdown ------------------------------------------------------------------------------------------------


def test_markdown_is_one_table_with_its_bars_escaped():
    report = Report("title", {}, [Table("t", ["a", "b"], [["x|y", 2], [None, 0.12345]], note="n"), "words"])
    assert report.to_markdown() == (
        "# title\n\n## t\n\n| a | b |\n|---|---|\n| x\\|y | 2 |\n| - | 0.123 |\n\nn\n\nwords\n"
    )


# --- the terminal --------------------------------------------------------------------------------------------


def printed(*body):
    file = io.StringIO()
    Report("title", {}, body).print(file)
    return file.getvalue()


def test_columns_are_aligned_numbers_to_the_right():
    table = Table("fruit", ["name", "count", "share"], [["fig", 7, 0.5], ["banana", 1200, 12.3456]], note="ripe only")
    assert printed("first", table) == (
        "title\n\nfirst\n\nfruit\n  name    count  share\n  fig         7    0.5\n  banana   1200   12.3\n  ripe only\n"
    )


@given(st.lists(st.tuples(st.text("abc", max_size=9), st.integers(0, 10**6)), min_size=1, max_size=5))
def test_every_cell_of_a_column_ends_where_its_column_ends(rows):
    lines = printed(Table("t", ["word", "n"], rows)).splitlines()[3:]
    assert len(lines) == len(rows) + 1
    assert len({len(line) for line in lines}) == 1
    assert {line[:2] for line in lines} == {"  "}
    width = max(len("word"), *(len(word) for word, _ in rows))
    for line, (word, number) in zip(lines[1:], rows, strict=True):
        assert line[2 : 2 + width] == word.ljust(width)
        assert line[2 + width :].strip() == str(number)


def test_no_line_ends_in_spaces_and_an_empty_table_has_its_head():
    assert (
        printed(Table("t", ["a", "b"], [["x", ""], ["longer", None]])) == "title\n\nt\n  a       b\n  x\n  longer  -\n"
    )
    assert printed(Table("t", ["a", "b"], [])) == "title\n\nt\n  a  b\n"


# --- figures in words ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.71, "71.0 %"), (0.0, "0.0 %"), (1.0, "100.0 %"), (0.12345, "12.3 %"), (-0.02, "-2.0 %"),
        (None, "-"), (math.nan, "-"), (math.inf, "-"),
    ],
)  # fmt: skip
def test_percent(share, text):
    assert percent(share) == text


def test_with_interval():
    assert with_interval({"value": 0.71, "low": 0.621, "high": 0.79}) == "71.0 % [62.1, 79.0]"
    assert with_interval({"value": -0.02, "low": -0.1, "high": 0.06}) == "-2.0 % [-10.0, 6.0]"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"), (0.04, "0.0 s"), (0.94, "0.9 s"), (1, "1 s"), (8.4, "8 s"), (89.4, "89 s"), (90, "2 min"),
        (180, "3 min"), (5399, "90 min"), (5400, "1.5 h"), (9000, "2.5 h"),
    ],
)  # fmt: skip
def test_duration(seconds, text):
    assert duration(float(seconds)) == text


# --- texts of others on a terminal ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "visible"),
    [
        ("plain größer 猫 🙂", "plain größer 猫 🙂"),
        ("a\nb\tc\0", r"a\u000ab\u0009c\u0000"),
        ("\x1b[31mred", r"\u001b[31mred"),
        ("safe\u202eexe.txt", r"safe\u202eexe.txt"),
        ("\u2066x\u2069", r"\u2066x\u2069"),
        ("zero\u200bwidth\ufeff", r"zero\u200bwidth\ufeff"),
        ("soft\u00adhyphen", r"soft\u00adhyphen"),
        ("line\u2028para\u2029", r"line\u2028para\u2029"),
        ("lone\ud800", r"lone\ud800"),
        ("tag\U000e0041", r"tag\ue0041"),
    ],
)
def test_what_cannot_be_seen_is_escaped(text, visible):
    assert shown(text) == visible


@given(st.text(st.characters(exclude_categories=[]), max_size=120), st.integers(2, 90))
def test_shown_is_one_printable_line_no_wider_than_asked(text, width):
    import unicodedata

    line = shown(text, width)
    assert len(line) <= width
    assert not {unicodedata.category(character) for character in line} & {"Cc", "Cf", "Zl", "Zp", "Cs"}
    assert len(line.splitlines()) <= 1
    line.encode("utf-8")


def test_a_long_text_is_cut_with_an_ellipsis():
    assert shown("x" * 80) == "x" * 80
    assert shown("x" * 81) == "x" * 79 + "…"
    assert shown("abcdef", 4) == "abc…"


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0.5, []),  # whatever is done within two seconds says nothing
        (0.8, ["did 9 of 10", "did 10 of 10"]),
        (2.5, ["did 3 of 10", "did 6 of 10", "did 9 of 10", "did 10 of 10"]),
    ],
)
def test_what_takes_long_says_how_far_it_is_and_when_it_is_done(monkeypatch, seconds, told):
    clock = itertools.count(0, seconds)
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    stream = io.StringIO()
    parts = list(in_turn(10, 3, "did", stream))
    assert [row for part in parts for row in range(10)[part]] == list(range(10))
    lines = stream.getvalue().splitlines()
    assert [line.split(" texts, ")[0] for line in lines] == told
    assert all(re.fullmatch(r".* texts, \d+/s, about [\d.]+ s left", line) for line in lines)


def test_who_does_not_listen_gets_the_same_parts():
    assert list(in_turn(5, 2, "did", None)) == [slice(0, 2), slice(2, 4), slice(4, 6)]
