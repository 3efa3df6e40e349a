"""Texts on the disk are the same texts: whoever reads a long file sees no difference but in memory."""

import errno
import io
import json
import tempfile
import tracemalloc
from multiprocessing.reduction import ForkingPickler

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scriptchain import config
from scriptchain.data import records as module
from scriptchain.data.records import Records, from_python, read
from scriptchain.data.spool import Spool, Texts
from scriptchain.data.text import digest
from scriptchain.errors import ResourceError
from scriptchain.run import train

from ..tiny import TINY

TEXTS = st.lists(st.text(), max_size=6)


def spooled(texts: list[str], at_once: int = 2) -> Texts:
    with Spool() as spool:
        for start in range(0, len(texts), at_once):
            spool.extend(texts[start : start + at_once])
        return spool.texts()


@given(TEXTS, st.integers(1, 7), st.slices(6), st.lists(st.integers(-6, 5)))
def test_they_are_a_list_of_the_texts(texts, at_once, cut, some):
    rows = [row for row in some if -len(texts) <= row < len(texts)]
    made, chosen = spooled(texts, at_once), [texts[row] for row in rows]
    part = made.take(rows)
    back = part.take(reversed(range(len(rows))))
    elsewhere = ForkingPickler.loads(ForkingPickler.dumps(back))  # as another process gets them
    for found, expected in [(made, texts), (part, chosen), (back, chosen[::-1]), (elsewhere, chosen[::-1])]:
        assert list(found) == expected
        assert found[cut] == expected[cut]
        assert [found[np.int64(at - len(expected))] for at in range(len(expected))] == expected
        assert digest([found, 1]) == digest([expected, 1])
        with pytest.raises(IndexError):
            found[len(expected)]


def test_half_a_character_comes_back():
    assert list(spooled(["a\ud800", "\udfff"])) == ["a\ud800", "\udfff"]


def a_file(folder, rows: int, kind: str = "csv") -> str:
    told = [(f"text {row} é {'猫' * (row % 3)}", f"class {row % 2}") for row in range(rows)]
    if kind == "csv":
        content = "text,label\n\n" + "".join(f"{text},{label}\n" for text, label in told)
    else:
        content = "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in told)
    path = folder / f"data.{kind}"
    path.write_text(content, "utf-8")
    return str(path)


@pytest.mark.parametrize("rows", [3, 4, 5, 8, 9])
@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_long_file_is_read_as_a_short_one(tmp_path, monkeypatch, rows, kind):
    path = a_file(tmp_path, rows, kind)
    short = read(path)
    monkeypatch.setattr(module, "_AT_ONCE", 4)
    long = read(path)
    assert isinstance(long.texts, Texts) == (rows > 4)
    for made in (lambda one: one, lambda one: one.subset(np.array([2, 0, 2])).subset([1]), Records.distinct):
        one, other = made(long), made(short)
        assert (list(one.texts), one.labels, list(one.lines)) == (other.texts, other.labels, other.lines)
        assert (one.source, one.notes) == (other.source, other.notes)
        assert all(type(line) is int for line in one.lines)  # a report is JSON


def test_what_is_in_memory_already_stays_there(monkeypatch):
    monkeypatch.setattr(module, "_AT_ONCE", 4)
    assert from_python(["one"] * 9).texts == ["one"] * 9


def test_a_row_takes_bytes_for_its_place_and_not_for_its_text(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_AT_ONCE", 100)
    path = a_file(tmp_path, 20_000)
    tracemalloc.start()
    try:
        rows = read(path)
        parts = [rows.subset(range(start, len(rows), 2)) for start in (0, 1)]
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(parts[0]) == 10_000
    assert held < 60 * len(rows)  # place, line and class, of the file and of its part; texts in a list are 200


def test_what_makes_rows_the_same_rows_is_told_without_a_list_of_them():
    made = spooled([f"text {row}" for row in range(20_000)], 1_000)
    tracemalloc.start()
    try:
        digest([made])
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 100_000  # a list of them is over a megabyte


@pytest.mark.parametrize(("folder", "named"), [("/scratch", "/scratch"), (None, "TMPDIR")])
def test_a_full_disk_says_which_and_where_else(tmp_path, monkeypatch, folder, named):
    class Full(io.BytesIO):
        def write(self, _):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "_AT_ONCE", 4)
    monkeypatch.setattr(tempfile, "TemporaryFile", Full)
    monkeypatch.setattr(tempfile, "tempdir", folder)
    with pytest.raises(ResourceError) as caught:
        read(a_file(tmp_path, 9))
    assert str(caught.value) == (
        f"{named} must have room for 4 texts (No space left on device); "
        "hint: TMPDIR=FOLDER before the command names another"
    )


def test_a_training_from_the_disk_comes_to_the_same_bytes(tmp_path, tiny_data, monkeypatch):
    more = tmp_path / "more.txt"
    more.write_text("".join(f"one more text, number {number}\n" for number in range(30)))
    folders = []
    for name, at_once in (("short", 50_000), ("long", 7)):
        monkeypatch.setattr(module, "_AT_ONCE", at_once)
        rows, others = read(tiny_data), read(more, labels_required=False, plain=True)
        assert isinstance(rows.texts, Texts) == isinstance(others.texts, Texts) == (name == "long")
        folders.append(tmp_path / name / "run")
        settings = [*TINY, "epochs=1", "masked_epochs=1"]
        train(rows, config.resolve("small", settings=settings), folders[-1], unlabelled=others, threads=1)
    short, long = ({path.name: path.read_bytes() for path in folder.iterdir()} for folder in folders)
    assert set(short) == set(long)
    assert {"model.safetensors", "baseline.json", "fingerprints.bin"} <= set(short)
    assert {name for name in short if short[name] != long[name]} <= {"report.json"}  # which tells the time
