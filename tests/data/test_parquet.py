"""Laws of Parquet: what a CSV file of the same rows gives, in constant memory, and no bytes that do anything else."""

from contextlib import suppress
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scriptchain.data.files import Meter
from scriptchain.data.records import Row, read, rows
from scriptchain.errors import DataError

TEXTS = ["the food was good", 'a "quoted", text', "größer 猫 🙂", "two\nlines"]


def written(path: Path, columns: dict, **options) -> Path:
    pyarrow.parquet.write_table(pyarrow.table(columns), path, **options)
    return path


@pytest.mark.parametrize("labels", [["a", "b", "a", "b"], [1, 0, 1, 0], [True, False, True, False]], ids=str)
def test_texts_and_labels_are_those_of_the_same_csv(labels, tmp_path):
    path = written(tmp_path / "a.parquet", {"n": range(4), "text": TEXTS, "label": labels})
    table = read({"text": TEXTS, "label": labels})
    found = read(path)
    assert (found.texts, found.labels, found.lines) == (TEXTS, table.labels, [1, 2, 3, 4])


def test_columns_are_chosen_and_refused_as_everywhere(tmp_path):
    path = written(tmp_path / "a.parquet", {"review": TEXTS, "stars": ["1", "2", "1", "2"]})
    assert read(path, label_column="stars").labels == ["1", "2", "1", "2"]
    with pytest.raises(DataError, match=r"a.parquet: no column 'label' among 'review', 'stars'"):
        read(path)


def test_a_bad_row_is_named_by_its_number(tmp_path):
    path = written(tmp_path / "a.parquet", {"text": ["one", None, "", "four"]})
    found = list(rows(path))
    assert [row if isinstance(row, Row) else row.message for row in found] == [
        Row(1, "one", None),
        f"{path}:2: text must not be missing",
        f"{path}:3: text must not be empty",
        Row(4, "four", None),
    ]
    path = written(tmp_path / "b.parquet", {"text": [1, 2]})
    with pytest.raises(DataError, match=r"b.parquet:1: text must be a string, got int"):
        read(path, labels_required=False)


def test_a_dictionary_of_words_is_read_as_words(tmp_path):
    column = pyarrow.array(["good", "bad", "good"]).dictionary_encode()
    path = written(tmp_path / "a.parquet", {"text": ["a", "b", "c"], "label": column})
    assert read(path).labels == ["good", "bad", "good"]


def test_the_meter_grows_to_the_size_of_the_file(tmp_path):
    texts = [f"text number {number}" for number in range(5_000)]
    path, meter, seen = written(tmp_path / "a.parquet", {"text": texts}, row_group_size=1_000), Meter(), []
    for row in rows(path, meter=meter):
        assert isinstance(row, Row)
        seen.append(meter.bytes())
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (path.stat().st_size // 5_000, path.stat().st_size)
    assert meter.bytes() == 0


def test_what_is_no_file_is_said_as_of_every_other_format(tmp_path):
    for name, said in [("none.parquet", "does not exist"), (".parquet", "must be a file, got a directory")]:
        (tmp_path / "folder.parquet").mkdir(exist_ok=True)
        with pytest.raises(DataError, match=said):
            read(tmp_path / (name if name[0] != "." else "folder.parquet"))


def test_what_is_no_parquet_is_said_in_one_line(tmp_path, monkeypatch):
    path = tmp_path / "a.parquet"
    path.write_text("text\nnone\n")
    with pytest.raises(DataError, match=r"a.parquet must be a whole Parquet file \(.+\)$"):
        read(path)

    def refuse(*_, **__):
        raise pyarrow.ArrowInvalid("no magic bytes\nand more")

    monkeypatch.setattr(pyarrow.parquet, "ParquetFile", refuse)
    with pytest.raises(DataError, match=r"a.parquet must be a whole Parquet file \(no magic bytes\)$"):
        read(path)


WHOLE = written(Path("/dev/shm" if Path("/dev/shm").is_dir() else ".") / "scriptchain-test.parquet",
                {"text": TEXTS * 20, "label": ["a", "b"] * 40})  # fmt: skip
BYTES = WHOLE.read_bytes()
WHOLE.unlink()


@settings(max_examples=150, deadline=None)
@given(
    cut=st.integers(0, len(BYTES)),
    changes=st.lists(st.tuples(st.integers(0, len(BYTES) - 1), st.integers(0, 255)), max_size=8),
)
def test_no_bytes_give_anything_but_rows_or_one_of_our_errors(cut, changes, tmp_path_factory):
    content = bytearray(BYTES[:cut] if cut % 2 else BYTES)
    for place, value in changes:
        if place < len(content):
            content[place] = value
    path = tmp_path_factory.mktemp("fuzz") / "a.parquet"
    path.write_bytes(content)
    found: list[object] = []
    with suppress(DataError):
        found.extend(rows(path))
    assert all(isinstance(row, (Row, DataError)) for row in found)
