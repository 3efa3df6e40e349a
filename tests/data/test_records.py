"""Rows from files and tables: what is written is read, and every fault is named with its place (D1 to D28)."""

# ruff: noqa: N802 - a test is named after its row of the fault catalogue

import contextlib
import csv
import gzip
import io
import json
import os
import threading
import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import datasets
import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scriptchain.data import files as module
from scriptchain.data.records import Records, Row, from_frame, from_python, read, stream
from scriptchain.data.text import model_text
from scriptchain.errors import DataError, ResourceError, ScriptChainError, UsageError

SKIP = "correct or remove the row, or say --on-bad-row skip"
GZIP = gzip.compress
IN_ONE_FILE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
WRITABLE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=30)
VISIBLE = WRITABLE.filter(model_text)


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(content: str | bytes, name: str = "data.csv") -> str:
    Path(name).write_bytes(content.encode() if isinstance(content, str) else content)
    return name


def type_in(monkeypatch, content: str | bytes) -> None:
    content = content.encode() if isinstance(content, str) else content
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(content)))


def refused(call, kind=DataError) -> tuple[str, str | None]:
    with pytest.raises(ScriptChainError) as caught:
        call()
    assert type(caught.value) is kind
    return caught.value.message, caught.value.hint


def pairs(records: Records) -> list[tuple[str, str]]:
    assert records.labels is not None
    return list(zip(records.texts, records.labels, strict=True))


# --- what is written is read ------------------------------------------------------------------------------------


@IN_ONE_FILE
@given(
    st.lists(st.tuples(VISIBLE, VISIBLE), min_size=1, max_size=5),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from([("data.csv", ","), ("data.tsv", "\t"), ("data.csv.gz", ",")]),
)
def test_what_the_csv_writer_writes_is_read(rows, end, kind):
    name, separator = kind
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=separator, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerows([("text", "label"), *rows])
    content = out.getvalue().encode()
    assert pairs(read(write(GZIP(content) if name.endswith(".gz") else content, name))) == rows


@IN_ONE_FILE
@given(
    st.lists(st.tuples(VISIBLE, VISIBLE), min_size=1, max_size=5), st.booleans(), st.sampled_from(["\n", "\r\n", "\r"])
)
def test_what_the_json_writer_writes_is_read(rows, ascii_only, end):
    lines = [json.dumps({"label": label, "text": text}, ensure_ascii=ascii_only) for text, label in rows]
    records = read(write((end.join(lines) + end).encode(), "data.jsonl"))
    assert pairs(records) == rows
    assert records.lines == list(range(1, len(rows) + 1))


@IN_ONE_FILE
@given(st.binary(max_size=60), st.sampled_from(["a.csv", "a.tsv", "a.jsonl", "a.csv.gz", "a.txt"]), st.booleans())
def test_no_bytes_give_anything_but_rows_or_one_of_our_errors(content, name, skip):
    write(b"text,label\n" + content, name)
    with contextlib.suppress(DataError):
        for row in stream(name, plain=True, on_bad_row="skip" if skip else "error"):
            assert model_text(row.text)
            assert row.line > 0


def test_lines_are_where_rows_start_and_blank_lines_are_no_rows():
    records = read(write('\ntext,label\none,a\n\n"two\nand\nmore",b\nthree,c\n'))
    assert (records.lines, records.texts) == ([3, 5, 8], ["one", "two\nand\nmore", "three"])
    records = read(write('{"text": "one", "label": "a"}\n\n \n{"text": "two", "label": "b"}', "data.ndjson"))
    assert records.lines == [1, 4]


def test_a_class_is_one_string_in_memory_and_not_one_a_row():
    records = read(write("text,label\n" + "".join(f"text {row},class {row % 2}\n" for row in range(50))))
    assert records.labels == ["class 0", "class 1"] * 25
    assert len(set(map(id, records.labels))) == 2


def test_a_stream_holds_one_row_at_a_time(monkeypatch):
    class Endless(io.RawIOBase):
        def readable(self):
            return True

        def readinto(self, buffer):
            buffer[:8] = b"text,a\n\n" if not self.__dict__.setdefault("begun", False) else b"word,b\n\n"
            self.begun = True
            return 8

    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BufferedReader(Endless())))
    rows = stream("-")
    assert [next(rows).line for _ in range(1000)] == list(range(3, 2003, 2))


def test_a_subset_keeps_line_label_and_source():
    records = read(write("text,label\none,a\ntwo,b\nthree,c\n"))
    part = records.subset(np.array([2, 0]))
    assert part == Records(["three", "one"], ["c", "a"], [4, 2], "data.csv", [])
    assert Records(["one"], None, [1], "x").subset([0]).labels is None
    assert len(part) == 2


def test_a_sample_follows_the_seed_and_keeps_the_order():
    rows = from_python([f"text {row}" for row in range(50)])
    one, again, other = (rows.sample(20, seed) for seed in (0, 0, 1))
    assert one == again
    assert one.texts != other.texts
    assert len(one) == len(set(one.lines)) == 20
    assert one.lines == sorted(one.lines)
    assert one.texts == [f"text {line - 1}" for line in one.lines]
    assert rows.sample(50, 0) == rows == rows.sample(51, 3)


# --- columns ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header", ["text,label", "label,text,id", " text , label ", "text,label,tweet,emotion", "id,text,label,Text"]
)
def test_exact_names_win_without_a_word(header):
    names = [name.strip() for name in header.split(",")]
    row = ["words" if name == "text" else "joy" if name == "label" else "x" for name in names]
    records = read(write(f"{header}\n{','.join(row)}\n"))
    assert (pairs(records), records.notes) == ([("words", "joy")], [])


def test_an_only_alias_is_taken_and_said():
    records = read(write("Tweet,EMOTION\nwords,joy\n"))
    assert (pairs(records), records.notes) == ([("words", "joy")], ["text column: Tweet", "label column: EMOTION"])


def test_named_columns_are_taken_whatever_else_there_is():
    path = write("text,label,a,b\n1,2,words,joy\n")
    assert pairs(read(path, text_column="a", label_column="b")) == [("words", "joy")]


COLUMN_HINT = (
    "the first line must name the columns, as in text,label; "
    "another name goes with --{0}-column NAME (in Python {0}_column=)"
)


@pytest.mark.parametrize(
    ("header", "options", "message", "hint"),
    [
        ("i am glad,joy", {}, "data.csv:1: no column 'text' among 'i am glad', 'joy'", COLUMN_HINT.format("text")),
        ("text,x", {}, "data.csv:1: no column 'label' among 'text', 'x'", COLUMN_HINT.format("label")),
        (
            "text,label",
            {"text_column": "t"},
            "data.csv:1: no column 't' among 'text', 'label'",
            COLUMN_HINT.format("text"),
        ),
        (
            "tweet,review,label",
            {},
            "data.csv:1: the text column must be one, got 'tweet', 'review'",
            "choose with --text-column NAME (in Python text_column=)",
        ),
        (
            "text,topic,tag",
            {},
            "data.csv:1: the label column must be one, got 'topic', 'tag'",
            "choose with --label-column NAME (in Python label_column=)",
        ),
        ("text,label,text", {}, "data.csv:1: column names must be distinct, got 'text' more than once", None),
        (
            ",".join("abcdefghijkl"),
            {},
            "data.csv:1: no column 'text' among 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j' and 2 more",
            COLUMN_HINT.format("text"),
        ),
        (
            "te\u202ext,label",
            {},
            "data.csv:1: no column 'text' among 'te\\\\u202ext', 'label'",
            COLUMN_HINT.format("text"),
        ),
    ],
)
def test_D10_columns_that_are_missing_doubled_or_ambiguous_are_listed(header, options, message, hint):
    width = header.count(",") + 1
    assert refused(lambda: read(write(f"{header}\n{','.join(['x'] * width)}\n"), **options)) == (message, hint)


def test_labels_are_optional_where_they_are_not_required():
    assert read(write("text\nwords\n"), labels_required=False).labels is None
    assert read(write("text,topic,tag\nwords,a,b\n"), labels_required=False).labels is None
    records = read(write("text,label\none,a\ntwo,\n"), labels_required=False)
    assert (records.labels, records.notes) == (None, ["labels ignored: 1 of 2 rows have none"])
    assert list(stream(write("text,label\none,a\ntwo, \n"))) == [Row(2, "one", "a"), Row(3, "two", None)]


# --- the catalogue ----------------------------------------------------------------------------------------------


def test_D01_a_missing_file_a_directory_and_a_forbidden_file(monkeypatch):
    Path("folder.csv").mkdir()
    assert refused(lambda: read("no.csv")) == (
        "no.csv does not exist",
        "check the path, or try the bundled set: emotions",
    )
    assert refused(lambda: read(Path("folder.csv"))) == ("folder.csv must be a file, got a directory", None)
    assert refused(lambda: read("a\0b.csv"), ResourceError) == (
        "a\\u0000b.csv cannot be read: embedded null byte",
        None,
    )

    def forbidden(*_):  # root may read everything, so the refusal is staged
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", forbidden)
    assert refused(lambda: read("mine.csv"), ResourceError) == ("mine.csv cannot be read: Permission denied", None)


@pytest.mark.parametrize("name", ["data.csv", "data.tsv", "data.jsonl", "data.csv.gz"])
@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xef\xbb\xbf"])
def test_D02_an_empty_file_has_no_rows(name, content):
    write(GZIP(content) if name.endswith("gz") else content, name)
    assert refused(lambda: read(name)) == (f"{name} has no rows", None)


def test_D02_a_header_alone_has_no_rows():
    assert refused(lambda: read(write("text,label\n"))) == ("data.csv has no rows", None)
    assert refused(lambda: read([], labels_required=False)) == ("texts has no rows", None)
    path = write("text,label\n,a\n,b\n")
    assert refused(lambda: read(path, on_bad_row="skip")) == (
        "data.csv has no rows; 2 bad rows skipped, the first: data.csv:2: text must not be empty",
        None,
    )


@pytest.mark.parametrize(
    ("name", "content"), [("a.csv", "text,label\nwords,joy\n"), ("a.jsonl", '{"text": "words", "label": "joy"}')]
)
def test_D03_a_byte_order_mark_is_as_if_absent(name, content):
    assert pairs(read(write(b"\xef\xbb\xbf" + content.encode(), name))) == [("words", "joy")]
    assert pairs(read(write(b"\xef\xbb\xbf" + content.encode(), name), encoding="utf-8-sig")) == [("words", "joy")]


def test_D04_another_encoding_is_named_by_line_and_byte_and_never_guessed():
    table = "text,label\nplain,a\nGröße,b\n"
    latin = write(table.encode("latin-1"))
    assert refused(lambda: read(latin)) == (
        "data.csv:3: not utf-8 at byte 21 of the file",
        "name the file's encoding, for example --encoding latin-1",
    )
    assert table.encode("latin-1")[21:22] == b"\xf6"
    assert read(latin, encoding="latin-1").texts == ["plain", "Größe"]
    utf16 = write(table.encode("utf-16"), "wide.csv")
    assert refused(lambda: read(utf16)) == (
        "wide.csv:1: not utf-8 but utf-16 at byte 0 of the file",
        "say --encoding utf-16",
    )
    assert read(utf16, encoding="utf-16").texts == ["plain", "Größe"]
    assert refused(lambda: read(write(b"\xff\xfea", "odd.csv"), encoding="utf-16"))[0] == "odd.csv:1: not utf-16"


@pytest.mark.parametrize("encoding", ["no-such", "rot13", "", "a\0b"])
def test_D04_an_encoding_must_be_one(encoding):
    assert refused(lambda: read(write("text,label\na,b\n"), encoding=encoding), UsageError) == (
        f"encoding must be the name of a text encoding, got {encoding}".replace("\0", "\\u0000"),
        "for example utf-8, utf-16, latin-1 or cp1252",
    )


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("before", ["plain", "schöne Grüße"])
def test_D05_an_invalid_byte_far_down_is_found_or_skipped(before, mark):
    rows = 3000
    good = mark + b"text,label,more\n" + f"{before},a,b\n".encode() * rows
    path = write(good + b"w,c,x\xffy\n" + b"last,a,b\n")
    assert refused(lambda: read(path))[0] == f"data.csv:{rows + 2}: not utf-8 at byte {len(good) + 5} of the file"
    records = read(path, on_bad_row="skip")
    assert len(records) == rows + 1
    first = f"data.csv:{rows + 2}: not utf-8 at byte {len(good) + 5} of the file"
    assert records.notes == [f"1 bad row skipped, the first: {first}"]


def test_D05_the_byte_may_be_in_json_or_inside_a_field_of_many_lines():
    path = write(b'{"text": "a", "label": "b"}\n{"text": "a\xff", "label": "b"}\n', "data.jsonl")
    assert refused(lambda: read(path))[0] == "data.jsonl:2: not utf-8 at byte 39 of the file"
    path = write(b'text,label\n"one\ntw\xe9o\nthree",a\nfour,b\n')
    assert refused(lambda: read(path))[0] == "data.csv:3: not utf-8 at byte 18 of the file"
    assert read(path, on_bad_row="skip").texts == ["four"]


def test_D06_line_ends_of_every_kind_give_the_same_rows():
    text = 'text,label\none,a\n\n"two, too",b\nthree,c'
    expected = read(write(text))
    for content in (text.replace("\n", "\r\n"), text.replace("\n", "\r"), text.replace("\n", "\r", 1), text + "\r\n"):
        records = read(write(content))
        assert (pairs(records), records.lines) == (pairs(expected), expected.lines)
    lines = '{"text": "one", "label": "a"}\n{"text": "two", "label": "b"}\n'
    for end in ("\n", "\r\n", "\r"):
        assert read(write(lines.replace("\n", end), "data.jsonl")).lines == [1, 2]


@pytest.mark.parametrize("separator", [*"\u2028\u2029\x85\v\f\x1c\x1e"], ids=ascii)
def test_D07_unicode_line_separators_inside_a_field_stay_in_one_row(separator):
    text = f"one{separator}two"
    assert read(write(f"text,label\n{text},a\n")).texts == [text]
    assert list(stream(write(f"{text}\nthree\n", "data.txt"), plain=True)) == [
        Row(1, text, None),
        Row(2, "three", None),
    ]
    if separator > "\x20":  # JSON has the others escaped
        assert read(write(json.dumps({"text": text, "label": "a"}, ensure_ascii=False), "data.jsonl")).texts == [text]


QUOTE = "a double quote opens here and is never closed, or text follows the one that closes it"
QUOTE_HINT = 'write a double quote inside a text twice ("") and the whole text in double quotes'


@pytest.mark.parametrize("on_bad_row", ["error", "skip"])
@pytest.mark.parametrize(
    ("rows", "line"),
    [
        ('one,a\n"two,b\nthree,c\nfour,d\n', 3),
        ('one,a\n"two,b\n"three",c\n', 3),
        ('one,a\n"two,b\n"three","c\n', 3),
        ('"a\nb",a\n"c\nd","e\nf\n', 5),
        ('one,a\n"two\n\n\nand",b\nthree,"c\n\n', 7),
    ],
)
def test_D08_an_unclosed_quote_names_the_opening_line(rows, line, on_bad_row):
    path = write("text,label\n" + rows)
    assert refused(lambda: read(path, on_bad_row=on_bad_row)) == (f"data.csv:{line}: {QUOTE}", QUOTE_HINT)


def test_D08_a_quote_that_closes_too_early_in_its_line_is_one_bad_row():
    path = write('text,label\none,a\n"two" and,b\nthree,c\n')
    assert refused(lambda: read(path)) == (f"data.csv:3: {QUOTE}", QUOTE_HINT)
    assert read(path, on_bad_row="skip").texts == ["one", "three"]


def test_D09_too_few_and_too_many_columns():
    path = write("text,label\none,a\ntwo\nthree, or more,b\nfour,c\n")
    assert refused(lambda: read(path)) == ("data.csv:3: 1 columns, the header has 2", SKIP)
    records = read(path, on_bad_row="skip")
    assert records.texts == ["one", "four"]
    assert records.notes == ["2 bad rows skipped, the first: data.csv:3: 1 columns, the header has 2"]
    assert refused(lambda: read(write("text,label\none, two,a\n"))) == (
        "data.csv:2: 3 columns, the header has 2",
        "put a text that has a separator in it in double quotes",
    )


def test_D11_a_line_and_a_field_may_be_long_up_to_the_cap(monkeypatch):
    assert module.MAX_CHARACTERS == 10 * 1024 * 1024
    long = "x" * 200_000  # more than the csv module's own limit
    assert read(write(f"text,label\n{long},a\n")).texts == [long]
    monkeypatch.setattr(module, "MAX_CHARACTERS", 210_000)
    csv.field_size_limit(210_000)
    longer = "x" * 210_001
    line = "the line must have at most 210000 characters"
    assert refused(lambda: read(write(f"text,label\none,a\n{longer},a\n"))) == (f"data.csv:3: {line}", None)
    assert refused(lambda: read(write(json.dumps({"text": longer}), "a.jsonl"))) == (f"a.jsonl:1: {line}", None)
    field = 'text,label\none,a\n"' + "many lines\n" * 30_000 + '",b\n'
    message = "data.csv:3: the field must have at most 210000 characters"
    assert refused(lambda: read(write(field))) == (message, None)


def test_D12_nul_is_kept_out():
    path = write("text,label\none,a\ntw\0o,b\n")
    assert refused(lambda: read(path)) == ("data.csv:3: text must not have a NUL character", SKIP)
    assert read(path, on_bad_row="skip").texts == ["one"]
    assert (
        refused(lambda: read(write("text,label\none,a\0\n")))[0]
        == "data.csv:2: label must be readable text, got a\\u0000"
    )
    path = write('{"text": "a\\u0000", "label": "b"}', "a.jsonl")
    assert refused(lambda: read(path))[0] == "a.jsonl:1: text must not have a NUL character"


@pytest.mark.parametrize(
    ("text", "how"),
    [("", "empty"), ("  ", "blank"), ("\t\u3000", "blank"), ("\u200b\u00ad", "blank"), ("\x01", "blank")],
)
def test_D13_a_text_without_a_visible_character(text, how):
    path = write(f'text,label\none,a\n"{text}",b\n')
    assert refused(lambda: read(path)) == (f"data.csv:3: text must not be {how}", SKIP)
    assert refused(lambda: read(write(f'text,label\none,"{text}"\n', "b.csv"))) == (
        f"b.csv:2: label must not be {how}",
        SKIP,
    )
    assert read(path, on_bad_row="skip").notes == [f"1 bad row skipped, the first: data.csv:3: text must not be {how}"]


def test_D16_labels_that_differ_by_case_or_space_are_not_merged():
    assert read(write("text,label\none,Spam\ntwo,spam\nthree,spam \n")).labels == ["Spam", "spam", "spam "]


def test_D17_labels_that_look_like_numbers_are_text():
    assert read(write("text,label\na,1\nb,01\nc,1.0\nd,1e3\n")).labels == ["1", "01", "1.0", "1e3"]
    rows = [1, True, False, 1.0, 0.1, "1", "01", -3]
    lines = "\n".join(json.dumps({"text": "t", "label": row}) for row in rows)
    assert read(write(lines, "a.jsonl")).labels == ["1", "true", "false", "1.0", "0.1", "1", "01", "-3"]
    assert from_python(["a"] * 8, rows).labels == ["1", "true", "false", "1.0", "0.1", "1", "01", "-3"]
    numpy_rows = [np.int64(1), np.bool_(True), np.float64(1), np.str_("01")]
    assert from_python(["a"] * 4, numpy_rows).labels == ["1", "true", "1.0", "01"]


DEEP = '{"text": ' + "[" * 100_000


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("{", "not a JSON object (Expecting property name enclosed in double quotes, column 2)"),
        ('{"text": "a"} x', "not a JSON object (Extra data, column 15)"),
        ('["a", "b"]', "not a JSON object"),
        ("null", "not a JSON object"),
        ('{"text": 5, "label": "a"}', "text must be a string, got int"),
        ('{"text": ["a"], "label": "a"}', "text must be a string, got list"),
        ('{"text": null, "label": "a"}', "text must not be missing"),
        ('{"label": "a"}', "text must not be missing"),
        ('{"text": "a"}', "label must not be missing"),
        ('{"text": "a", "label": null}', "label must not be missing"),
        ('{"text": "a", "label": ["b"]}', "label must be a string or a finite number, got ['b']"),
        ('{"text": "a", "label": 1e999}', "label must be a string or a finite number, got inf"),
        ('{"text": "a", "label": NaN}', "not a JSON object (NaN is not JSON)"),
        ('{"text": "a", "label": -Infinity}', "not a JSON object (-Infinity is not JSON)"),
        ('{"text": "a", "label": "\\ud800"}', "label must be readable text, got \\ud800"),
        ('{"text": "a", "text": "b", "label": "c"}', "not a JSON object (a key is doubled: 'text')"),
        ('{"text": "a", "label": "c", "x": {"y": 1, "y": 2}}', "not a JSON object (a key is doubled: 'y')"),
        (DEEP, "not a JSON object (it is nested too deep)"),
    ],
    ids=lambda value: value[:30],
)
def test_D26_a_bad_json_line_is_named_and_can_be_skipped(line, fault):
    path = write(f'{{"text": "good", "label": "a"}}\n{line}\n{{"text": "fine", "label": "b"}}\n', "a.jsonl")
    assert refused(lambda: read(path)) == (f"a.jsonl:2: {fault}", SKIP)
    records = read(path, on_bad_row="skip")
    assert (records.texts, records.notes) == (["good", "fine"], [f"1 bad row skipped, the first: a.jsonl:2: {fault}"])


def test_D26_a_lone_surrogate_of_a_json_escape_can_be_printed_afterwards():
    assert read(write('{"text": "a\\ud83d b", "label": "c"}', "a.jsonl")).texts == ["a\ufffd b"]
    assert read(write('{"text": "a\\ud83d\\ude00 b", "label": "c"}', "a.jsonl")).texts == ["a😀 b"]


def test_D26_a_huge_number_is_an_error_of_ours():
    path = write('{"text": "a", "label": ' + "9" * 5000 + "}", "a.jsonl")
    assert refused(lambda: read(path))[0].startswith("a.jsonl:1: not a JSON object (Exceeds the limit")


def test_D27_a_name_and_its_bytes_must_agree_on_gzip():
    table = b"text,label\nwords,joy\n"
    assert (
        pairs(read(write(GZIP(table), "a.csv.gz"))) == pairs(read(write(GZIP(table), "A.CSV.GZ"))) == [("words", "joy")]
    )
    assert refused(lambda: read(write(table, "b.csv.gz"))) == (
        "b.csv.gz must be gzip, as its name says",
        "take .gz off its name",
    )
    assert refused(lambda: read(write(GZIP(table), "b.csv"))) == (
        "b.csv is gzip, its name must end in .gz",
        "rename it or unpack it with gunzip",
    )


def test_D27_a_truncated_or_damaged_gzip_file_says_how_far_it_went():
    rng = np.random.default_rng(0)
    table = b"text,label\n" + b"".join(b"%d,a\n" % number for number in rng.integers(10**12, size=5000))
    packed = GZIP(table)
    cut = write(packed[:-9], "cut.csv.gz")
    message, _ = refused(lambda: read(cut))
    assert message.startswith("cut.csv.gz must be a whole gzip file, got a bad one after line ")
    wrong_sum = write(packed[:-8] + b"\0\0\0\0" + packed[-4:], "sum.csv.gz")
    assert refused(lambda: read(wrong_sum)) == (
        "sum.csv.gz must be a whole gzip file, got a bad one after line 5001",
        None,
    )
    assert refused(lambda: read(write(packed[:5], "head.csv.gz")))[0] == "head.csv.gz must be gzip, as its name says"


def test_D27_a_bomb_is_stopped_before_it_fills_anything(monkeypatch):
    monkeypatch.setattr(module, "MAX_UNPACKED", 2**20)
    header, row = b"text,label\n", b"a" * 1_000 + b",b\n"
    rows = 40 * 2**20 // len(row)
    bomb = write(GZIP(header + row * rows), "bomb.csv.gz")
    assert Path(bomb).stat().st_size * module.MAX_RATIO < rows * len(row)
    got = 0

    def unpack() -> None:
        nonlocal got
        for _ in stream(bomb):
            got += len(row)

    message = "bomb.csv.gz unpacks to more than 200 times its size"
    assert refused(unpack) == (message, "if that is right, unpack it with gunzip")
    assert got <= module.MAX_RATIO * Path(bomb).stat().st_size
    small = write(GZIP(header + row * 900), "small.csv.gz")  # as dense, and too small to hurt
    assert len(read(small)) == 900
    noise = os.urandom(2**21).hex().encode()  # large, and as dense as texts are
    lines = b"".join(noise[at : at + 1000] + b",b\n" for at in range(0, len(noise), 1000))
    assert len(read(write(GZIP(header + lines), "large.csv.gz"))) == -(-len(noise) // 1000)


@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl", "rows.csv.gz"])
def test_D29_a_file_of_any_length_takes_the_same_memory(name):
    def peak(rows: int) -> int:
        one = b'{"text": "some words %d", "label": "b"}\n' if "json" in name else b"some words %d,b\n"
        content = b"".join([b"" if "json" in name else b"text,label\n", *(one % row for row in range(rows))])
        write(GZIP(content) if name.endswith("gz") else content, name)
        del content
        tracemalloc.start()
        assert sum(1 for _ in stream(name)) == rows
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    few = max(peak(2_000), 2**18)  # buffers that are there once
    assert peak(40_000) <= 1.2 * few


def test_D28_a_named_pipe_is_read_by_its_content():
    os.mkfifo("pipe")
    writer = threading.Thread(target=lambda: Path("pipe").write_text("text,label\nwords,joy\n"))
    writer.start()
    records = read("pipe")
    writer.join()
    assert (pairs(records), records.source) == ([("words", "joy")], "pipe")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('{"text": "a, b", "label": "c"}\n', [Row(1, "a, b", "c")]),
        ('\n  {"text": "a", "label": "c"}\n', [Row(2, "a", "c")]),
        ("text,label\na,c\n", [Row(2, "a", "c")]),
        ("text\tlabel\na, b\tc\n", [Row(2, "a, b", "c")]),
        ("\n\ntext,label\na,c\n", [Row(4, "a", "c")]),
    ],
)
def test_D28_standard_input_is_known_by_its_first_line(monkeypatch, content, expected):
    for plain in (True, False):
        type_in(monkeypatch, content)
        assert list(stream("-", plain=plain)) == expected
    type_in(monkeypatch, content)
    assert read("-").source == "standard input"


@pytest.mark.parametrize(
    ("content", "texts"),
    [
        ("hello, world\ntext,label\n", ["hello, world", "text,label"]),
        ("{laughs} so good\nmore", ["{laughs} so good", "more"]),
        ('"quoted\nnever closed\n', ['"quoted', "never closed"]),
        ("Review\nfine\r\n", ["Review", "fine"]),
    ],
)
def test_plain_input_is_one_text_a_line(monkeypatch, content, texts):
    type_in(monkeypatch, content)
    assert [row.text for row in stream("-", plain=True)] == texts
    assert [row.text for row in stream(write(content, "a.txt"), plain=True)] == texts


def test_plain_input_with_the_named_column_is_a_table(monkeypatch):
    type_in(monkeypatch, "id,words\n1,one\n")
    assert list(stream("-", plain=True, text_column="words")) == [Row(2, "one", None)]


def test_a_blank_line_of_plain_input_is_a_bad_row(monkeypatch):
    type_in(monkeypatch, "one\n\nthree\n")
    assert refused(lambda: list(stream("-", plain=True))) == ("standard input:2: text must not be empty", SKIP)
    type_in(monkeypatch, "one\n\nthree\n")
    assert [row.line for row in stream("-", plain=True, on_bad_row="skip")] == [1, 3]


def test_standard_input_is_left_open(monkeypatch):
    type_in(monkeypatch, "text,label\na,b\n")
    buffer = io.BufferedReader(io.BytesIO(b"text,label\na,b\n"))
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=buffer))
    read("-")
    assert not buffer.closed


@pytest.mark.parametrize("name", ["a.feather", "a.txt", "a", "a.gz", "a.xlsx"])
def test_a_file_of_another_kind_is_refused(name):
    write(GZIP(b"x") if name.endswith(".gz") else b"x", name)
    message = f"{name} must end in .csv, .tsv, .jsonl, .ndjson or .json, or one of these and .gz, or in .parquet"
    assert refused(lambda: read(name)) == (message, None)


def test_a_name_that_could_change_the_terminal_is_escaped():
    assert refused(lambda: read("a\x1b[31m.csv"))[0] == "a\\u001b[31m.csv does not exist"


def test_the_bundled_set_is_found_by_name_unless_a_file_has_it(monkeypatch):
    Path("package").mkdir()
    write("text,label\nbundled,joy\n", "package/emotions.csv")
    monkeypatch.setattr(module, "files", lambda package: {"scriptchain.data": Path("package")}[package])
    records = read("emotions")
    assert (pairs(records), records.source) == ([("bundled", "joy")], "emotions")
    write("mine", "emotions")
    assert refused(lambda: read("emotions"))[0].startswith("emotions must end in .csv")


def test_on_bad_row_is_error_or_skip():
    path = write("text,label\na,b\n")
    assert refused(lambda: read(path, on_bad_row="ignore"), UsageError) == (
        "on_bad_row must be error or skip, got ignore",
        None,
    )


# --- tables in memory -------------------------------------------------------------------------------------------

TEXTS, LABELS = ["one", "two", "three"], ["a", "b", "a"]
ROWS = [{"text": text, "label": label} for text, label in zip(TEXTS, LABELS, strict=True)]


@pytest.mark.parametrize(
    "table",
    [
        ROWS,
        {"text": TEXTS, "label": LABELS},
        {"text": np.array(TEXTS), "label": tuple(LABELS)},
        pd.DataFrame(ROWS),
        pd.DataFrame(ROWS, index=[7, 7, 9]).astype({"label": "category"}),
        pl.DataFrame(ROWS),
        pl.DataFrame(ROWS).with_columns(pl.col("label").cast(pl.Categorical)),
        datasets.Dataset.from_list(ROWS),
        datasets.Dataset.from_list(ROWS).data.table,
    ],
    ids=lambda table: f"{type(table).__module__}.{type(table).__name__}",
)
def test_every_table_gives_the_same_records(table):
    assert read(table) == Records(TEXTS, LABELS, [1, 2, 3], "data", [])
    assert from_frame(table, labels_required=False, source="mine").source == "mine"


@pytest.mark.parametrize(
    "make", [list, tuple, np.array, pd.Series, pl.Series, pd.Index], ids=lambda make: make.__name__
)
def test_every_list_gives_the_same_records(make):
    assert from_python(make(TEXTS), make(LABELS)) == Records(TEXTS, LABELS, [1, 2, 3], "texts", [])
    assert read(make(TEXTS), labels_required=False) == Records(TEXTS, None, [1, 2, 3], "texts", [])


def test_the_class_names_of_a_dataset_are_its_labels():
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["sad", "glad"])}
    )
    table = datasets.Dataset.from_dict({"text": TEXTS, "label": [1, 0, -1]}, features=features)
    assert refused(lambda: read(table)) == ("data row 3: label must not be missing", SKIP)
    assert read(table, on_bad_row="skip").labels == ["glad", "sad"]


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA, pd.NaT, float("nan")], ids=repr)
def test_a_missing_value_in_memory_is_a_bad_row(missing):
    assert refused(lambda: from_python(["one", missing], ["a", "b"])) == ("texts row 2: text must not be missing", SKIP)
    table = pd.DataFrame({"text": TEXTS, "label": pd.Series(["a", missing, "b"], dtype=object)})
    assert refused(lambda: read(table)) == ("data row 2: label must not be missing", SKIP)
    records = read(table, on_bad_row="skip")
    assert (records.texts, records.lines) == (["one", "three"], [1, 3])


def test_numbers_that_pandas_made_floats_stay_as_they_are():
    table = pd.DataFrame({"text": TEXTS, "label": [1, None, 2]})
    assert read(table, on_bad_row="skip").labels == ["1.0", "2.0"]


@pytest.mark.parametrize(
    ("call", "kind", "message", "hint"),
    [
        (lambda: from_python(["a"], ["b", "c"]), DataError, "labels must be as many as the texts (1), got 2", None),
        (lambda: read(["a"]), DataError, "texts must have labels, got none", "give the labels as well"),
        (lambda: from_python(["a", 5]), DataError, "texts row 2: text must be a string, got int", SKIP),
        (
            lambda: from_python("words"),
            UsageError,
            "texts must be a list, got str",
            "a list, a tuple, an array or a series; a table goes to from_frame",
        ),
        (
            lambda: from_python(pd.DataFrame(ROWS)),
            UsageError,
            "texts must be a list, got DataFrame",
            "a list, a tuple, an array or a series; a table goes to from_frame",
        ),
        (
            lambda: read(7),
            UsageError,
            "texts must be a list, got int",
            "a list, a tuple, an array or a series; a table goes to from_frame",
        ),
        (lambda: from_python(np.array("a")), UsageError, "texts must be a list, got a single str", None),
        (
            lambda: from_frame(["a"]),
            UsageError,
            "data must be a table, got list",
            "a pandas or polars DataFrame, a datasets.Dataset, a list of dicts or a dict of lists",
        ),
        (
            lambda: read(pl.DataFrame(ROWS).lazy()),
            UsageError,
            "data must be in memory, got LazyFrame",
            "call its collect() first",
        ),
        (
            lambda: read(datasets.DatasetDict(train=datasets.Dataset.from_list(ROWS))),
            UsageError,
            "data must be one split, got DatasetDict",
            'choose one, as in data["train"]',
        ),
        (
            lambda: read(pd.DataFrame([["a", "b"]], columns=["text", "text"])),
            DataError,
            "data: column names must be distinct, got 'text' more than once",
            None,
        ),
        (
            lambda: read([{"words": "a"}]),
            DataError,
            "data: no column 'text' among 'words'",
            COLUMN_HINT.format("text"),
        ),
        (lambda: read([{}]), DataError, "data: no column 'text' among none", COLUMN_HINT.format("text")),
        (lambda: read([ROWS[0], "x"]), DataError, "data row 2: text must not be missing", SKIP),
        (
            lambda: from_python(["a"], [{}]),
            DataError,
            "texts row 1: label must be a string or a finite number, got {}",
            SKIP,
        ),
    ],
)
def test_what_is_no_table_or_list_is_refused(call, kind, message, hint):
    assert refused(call, kind) == (message, hint)
