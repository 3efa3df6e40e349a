"""Texts and labels from files, standard input and in-memory tables; every fault is named with its place.

A source becomes rows, one at a time. A bad row travels as the error that it deserves, so that one
function (`_kept`) decides whether the error is raised or the row is skipped and counted.
"""

import codecs
import csv
import gzip
import io
import json
import math
import os
import re
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib.resources import files
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, SupportsIndex

from ..errors import DataError, ResourceError, UsageError
from ..report import shown
from .text import model_text

MAX_CHARACTERS = 10 * 2**20  # of a line and of a field: one row must never fill the memory
BUNDLED = ("emotions",)

_TEXT_NAMES = "text sentence tweet review content message comment document utterance question body"
_LABEL_NAMES = "label labels target category class sentiment emotion intent topic tag"
_KINDS = {".csv": "csv", ".tsv": "tsv", ".jsonl": "json", ".ndjson": "json", ".json": "json", ".txt": "plain"}
_SKIP_HINT = "correct or remove the row, or say --on-bad-row skip"
_TABLES = "a pandas or polars DataFrame, a datasets.Dataset, a list of dicts or a dict of lists"
_UNDECODED = re.compile("[\ud800-\udfff]")
_JSON_OBJECT = re.compile(r'\s*\{\s*["}]')


class Row(NamedTuple):
    """One text; `line` is where it starts (1-based), `label` is None where there is none."""

    line: int
    text: str
    label: str | None


@dataclass(frozen=True)
class Records:
    """Texts, their labels, the 1-based line (in memory: row) of each, and `notes` on what was inferred."""

    texts: list[str]
    labels: list[str] | None
    lines: list[int]
    source: str
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.texts)

    def subset(self, indices: Iterable[SupportsIndex]) -> "Records":
        """The rows at `indices` (0-based), in that order."""
        rows = [int(index) for index in indices]
        labels = None if self.labels is None else [self.labels[row] for row in rows]
        texts, lines = [self.texts[row] for row in rows], [self.lines[row] for row in rows]
        return Records(texts, labels, lines, self.source, self.notes)


def read(
    source: Any,
    *,
    text_column: str | None = None,
    label_column: str | None = None,
    labels_required: bool = True,
    encoding: str = "utf-8",
    on_bad_row: str = "error",
) -> Records:
    """All rows of a file, of standard input (`-`), of a bundled set (`emotions`) or of an in-memory table.

    Without `labels_required` the labels are None unless every row has one.

    Raises: DataError (exit 3) for missing or wrong data, with file:line; ResourceError (5) for a file that
    may not be read; UsageError (2) for a wrong argument.
    """
    if not isinstance(source, (str, os.PathLike)):
        wanted = (text_column, label_column)
        return _in_memory(source, *wanted, labels_required=labels_required, on_bad_row=on_bad_row)
    notes: list[str] = []
    rows = stream(
        source,
        text_column=text_column,
        label_column=label_column,
        labels_required=labels_required,
        encoding=encoding,
        on_bad_row=on_bad_row,
        notes=notes,
    )
    return _records(rows, _name(source), notes)


def stream(
    path: str | os.PathLike[str],
    *,
    text_column: str | None = None,
    label_column: str | None = None,
    labels_required: bool = False,
    encoding: str = "utf-8",
    on_bad_row: str = "error",
    plain: bool = False,
    notes: list[str] | None = None,
) -> Iterator[Row]:
    """The rows of a file or of standard input, one at a time in constant memory; `notes` grows with the reading.

    With `plain`, a .txt file and an input without a recognizable structure are one text a line.

    Raises: as `read`, but only when the row in question is asked for.
    """
    notes = [] if notes is None else notes
    with _opened(path, encoding) as lines:
        kind, content = _kind(path, lines, text_column, plain)
        if kind == "plain":
            rows = _plain_rows(lines, content)
        else:
            choose = partial(_columns, wanted=(text_column, label_column), required=labels_required, notes=notes)
            rows = _json_rows(lines, content, choose) if kind == "json" else _csv_rows(lines, content, kind, choose)
        checked = (row if isinstance(row, DataError) else _checked(*row, lines.at, labels_required) for row in rows)
        yield from _kept(checked, lines.name, on_bad_row, notes)


def from_python(
    texts: Any,
    labels: Any = None,
    *,
    labels_required: bool = False,
    on_bad_row: str = "error",
    source: str = "texts",
    notes: Iterable[str] = (),
) -> Records:
    """Records of a list, tuple, numpy array or pandas or polars Series of texts, and one of labels.

    Raises: DataError (exit 3) for an empty or wrong row or unequal lengths; UsageError (2) for anything else.
    """
    texts = _values(texts, "texts")
    if labels is None and labels_required:
        raise DataError(f"{source} must have labels, got none", hint="give the labels as well")
    labels = [None] * len(texts) if labels is None else _values(labels, "labels")
    if len(texts) != len(labels):
        raise DataError(f"labels must be as many as the texts ({len(texts)}), got {len(labels)}")
    notes, at = list(notes), partial("{} row {}".format, source)
    rows = (
        _checked(number, text, label, at, labels_required)
        for number, (text, label) in enumerate(zip(texts, labels, strict=True), 1)
    )
    return _records(_kept(rows, source, on_bad_row, notes), source, notes)


def from_frame(
    frame: Any,
    *,
    text_column: str | None = None,
    label_column: str | None = None,
    labels_required: bool = True,
    on_bad_row: str = "error",
    source: str = "data",
) -> Records:
    """Records of a pandas or polars DataFrame, a `datasets.Dataset`, a list of dicts or a dict of lists.

    Raises: as `from_python`, and DataError (exit 3) for a column that is missing, doubled or ambiguous.
    """
    notes: list[str] = []
    names = _frame_columns(frame)
    wanted = (text_column, label_column)
    text, label = _columns([str(name) for name in names], source, wanted=wanted, required=labels_required, notes=notes)
    columns = {str(name): name for name in names}
    labels = None if label is None else _class_names(frame, label, _column(frame, columns[label]))
    return from_python(
        _column(frame, columns[text]),
        labels,
        labels_required=labels_required,
        on_bad_row=on_bad_row,
        source=source,
        notes=notes,
    )


# --- rows: checked, kept or skipped, gathered ---------------------------------------------------------------


def _checked(line: int, text: Any, label: Any, at: Callable[[int], str], labels_required: bool) -> Row | DataError:
    """The row as two strings, or what is wrong with it."""
    if (
        type(text) is type(label) is str
        and text.isprintable()
        and label.isprintable()
        and text.strip()
        and label.strip()
    ):
        return Row(line, text, label)  # the usual row, at the speed that a million of them need
    if (fault := _text_fault(text)) is not None:
        return DataError(f"{at(line)}: text {fault}", hint=_SKIP_HINT)
    if type(label) is not str:
        label = _label_name(label)
    fault = _label_fault(label)
    if fault is not None and (labels_required or fault not in _ABSENT):
        return DataError(f"{at(line)}: label {fault}", hint=_SKIP_HINT)
    if not text.isascii():  # an escape in JSON can write half a character, which nothing can print
        text = _UNDECODED.sub("\ufffd", text)
    return Row(line, str(text), label if fault is None else None)


def _text_fault(text: Any) -> str | None:
    if not isinstance(text, str):
        return _ABSENT[0] if _missing(text) else f"must be a string, got {type(text).__name__}"
    if "\0" in text:
        return "must not have a NUL character"
    return _blank(text)


def _label_fault(label: Any) -> str | None:
    if not isinstance(label, str):
        return _ABSENT[0] if label is None else f"must be a string or a finite number, got {shown(repr(label), 40)}"
    if "\0" in label or (not label.isascii() and _UNDECODED.search(label)):
        return f"must be readable text, got {shown(label, 40)}"
    return _blank(label)


_ABSENT = ("must not be missing", "must not be empty", "must not be blank")


def _blank(text: str) -> str | None:
    if not text:
        return _ABSENT[1]
    return _ABSENT[2] if text.isspace() or not (text.isprintable() or model_text(text)) else None


def _label_name(label: Any) -> Any:
    """A label as text, never rounded or merged: 1 is `1`, 1.0 is `1.0`, True is `true`; None if it is missing."""
    if type(label).__module__ == "numpy" and hasattr(label, "item"):
        label = label.item()
    if _missing(label):
        return None
    if isinstance(label, bool):
        return str(label).lower()
    if isinstance(label, float) and math.isfinite(label):
        return repr(label)
    return str(label) if isinstance(label, (str, int)) else label


def _missing(value: Any) -> bool:
    if isinstance(value, float):
        return math.isnan(value)
    return value is None or type(value).__name__ in ("NAType", "NaTType")  # pandas.NA and pandas.NaT


def _kept(rows: Iterable[Row | DataError], source: str, on_bad_row: str, notes: list[str]) -> Iterator[Row]:
    if on_bad_row not in ("error", "skip"):
        raise UsageError(f"on_bad_row must be error or skip, got {shown(str(on_bad_row))}")
    kept, skipped, first = 0, 0, ""
    for row in rows:
        if not isinstance(row, DataError):
            kept += 1
            yield row
        elif on_bad_row == "error":
            raise row
        else:
            skipped += 1
            first = first or row.message
    if skipped:
        notes.append(f"{skipped} bad row{'s' * (skipped > 1)} skipped, the first: {first}")
    if not kept:
        raise DataError(f"{source} has no rows" + (f"; {notes[-1]}" if skipped else ""))


def _records(rows: Iterable[Row], source: str, notes: list[str]) -> Records:
    texts: list[str] = []
    labels: list[str | None] = []
    lines: list[int] = []
    for line, text, label in rows:
        lines.append(line)
        texts.append(text)
        labels.append(label)
    known = [label for label in labels if label is not None]
    if known and len(known) < len(texts):
        notes.append(f"labels ignored: {len(texts) - len(known)} of {len(texts)} rows have none")
    return Records(texts, known if len(known) == len(texts) else None, lines, source, notes)


# --- columns ------------------------------------------------------------------------------------------------


def _columns(
    found: Sequence[str],
    place: str,
    *,
    wanted: tuple[str | None, str | None],
    required: bool,
    notes: list[str],
) -> tuple[str, str | None]:
    """The names of the text column and of the label column among those found."""
    doubled = [name for name, count in Counter(found).items() if count > 1]
    if doubled:
        raise DataError(f"{place}: column names must be distinct, got {_listed(doubled)} more than once")
    text = _chosen(found, place, "text", wanted[0], _TEXT_NAMES, True, notes)
    assert text is not None
    return text, _chosen(found, place, "label", wanted[1], _LABEL_NAMES, required, notes)


def _chosen(
    found: Sequence[str],
    place: str,
    role: str,
    wanted: str | None,
    aliases: str,
    required: bool,
    notes: list[str],
) -> str | None:
    name = wanted or role
    if name in found:
        return name
    candidates = [] if wanted else [column for column in found if column.casefold() in aliases.split()]
    if len(candidates) == 1:
        notes.append(f"{role} column: {shown(candidates[0], 40)}")
        return candidates[0]
    if not (required or wanted):
        return None
    if candidates:
        raise DataError(
            f"{place}: the {role} column must be one, got {_listed(candidates)}",
            hint=f"choose with --{role}-column NAME (in Python {role}_column=)",
        )
    raise DataError(
        f"{place}: no column {shown(name)!r} among {_listed(found)}",
        hint=f"the first line must name the columns, as in text,label; another name goes with --{role}-column NAME "
        f"(in Python {role}_column=)",
    )


def _listed(names: Sequence[str]) -> str:
    if not names:
        return "none"
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return ", ".join(repr(shown(name, 40)) for name in names[:10]) + more


# --- formats ------------------------------------------------------------------------------------------------

Chooser = Callable[[Sequence[str], str], tuple[str, str | None]]
RawRow = tuple[int, Any, Any]


def _kind(
    path: str | os.PathLike[str], lines: "_Lines", text_column: str | None, plain: bool
) -> tuple[str, Iterator[str]]:
    """The format by the file's name, or by the first line where there is no name; and the lines to be read."""
    content = iter(lines)
    suffixes = [suffix.lower() for suffix in Path(path).suffixes if suffix.lower() != ".gz"]
    kind = "csv" if is_bundled(path) else _KINDS.get(suffixes[-1] if suffixes else "")
    if kind is None and (str(path) == "-" or not Path(path).is_file()):
        blank: list[str] = []
        for first in content:
            blank.append(first)
            if not first.isspace():
                break
        return _sniffed(blank[-1] if blank else "", text_column, plain), chain(blank, content)
    if kind is None or (kind == "plain" and not plain):
        raise DataError(f"{lines.name} must end in .csv, .tsv, .jsonl, .ndjson or .json, or one of these and .gz")
    return kind, content


def _sniffed(first: str, text_column: str | None, plain: bool) -> str:
    if _JSON_OBJECT.match(first) if plain else first.lstrip().startswith("{"):
        return "json"
    kind = "tsv" if "\t" in first and "," not in first else "csv"
    if plain and (text_column or "text") not in _header(first, kind):
        return "plain"
    return kind


def _header(line: str, kind: str) -> list[str]:
    cells = next(csv.reader([line], delimiter="\t" if kind == "tsv" else ","), [])
    return [cell.strip() for cell in cells]


def _plain_rows(lines: "_Lines", content: Iterator[str]) -> Iterator[RawRow | DataError]:
    for number, line in enumerate(content, 1):
        yield lines.take_fault() or (number, line.rstrip("\r\n"), None)


def _json_rows(lines: "_Lines", content: Iterator[str], choose: Chooser) -> Iterator[RawRow | DataError]:
    columns: tuple[str, str | None] | None = None
    decode = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_no_constant).decode
    for number, line in enumerate(content, 1):
        if line.isspace():
            continue
        try:
            value = decode(line.rstrip())
        except RecursionError:
            value = ValueError("it is nested too deep")
        except ValueError as error:
            value = error
        if (fault := lines.take_fault()) is not None:
            yield fault
        elif not isinstance(value, dict):
            why = "" if not isinstance(value, ValueError) else f" ({_json_fault(value)})"
            yield DataError(f"{lines.at(number)}: not a JSON object{why}", hint=_SKIP_HINT)
        else:
            columns = columns or choose(list(value), lines.at(number))
            text, label = columns
            yield number, value.get(text), None if label is None else value.get(label)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        doubled = [name for name, count in Counter(name for name, _ in pairs).items() if count > 1]
        raise ValueError(f"a key is doubled: {_listed(doubled)}")
    return value


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _json_fault(error: ValueError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg}, column {error.colno}"
    return str(error)


def _csv_rows(lines: "_Lines", content: Iterator[str], kind: str, choose: Chooser) -> Iterator[RawRow | DataError]:
    csv.field_size_limit(max(csv.field_size_limit(), MAX_CHARACTERS))
    reader = csv.reader(content, delimiter="\t" if kind == "tsv" else ",", strict=True)
    cells = _csv_cells(lines, reader, kind)
    for start, header in cells:
        if isinstance(header, DataError):
            raise header
        names = [name.strip() for name in header]
        text, label = choose(names, lines.at(start))
        text_at, label_at = names.index(text), None if label is None else names.index(label)
        break
    else:
        return
    width = len(names)
    for start, row in cells:
        if isinstance(row, DataError):
            yield row
        elif len(row) != width:
            hint = "put a text that has a separator in it in double quotes" if len(row) > width else _SKIP_HINT
            yield DataError(f"{lines.at(start)}: {len(row)} columns, the header has {width}", hint=hint)
        else:
            yield start, row[text_at], None if label_at is None else row[label_at]


def _csv_cells(lines: "_Lines", reader: Any, kind: str) -> Iterator[tuple[int, list[str] | DataError]]:
    """The line at which each row starts, and its cells or its fault."""
    while True:
        start = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            fault = _csv_fault(lines, start, kind, str(error))
            if reader.line_num > start:  # nobody knows how many rows the open quote swallowed
                raise fault from None
            cells = fault
        cells = lines.take_fault() or cells
        if cells:  # a blank line is no row
            yield start, cells


def _csv_fault(lines: "_Lines", start: int, kind: str, message: str) -> DataError:
    opening = _opening_line(lines.memory, start, "\t" if kind == "tsv" else ",")
    if "field limit" in message:
        return _too_long(lines.at(opening), "field")
    return DataError(
        f"{lines.at(opening)}: a double quote opens here and is never closed, or text follows the one that closes it",
        hint='write a double quote inside a text twice ("") and the whole text in double quotes',
    )


def _opening_line(row: Iterable[str], start: int, separator: str) -> int:
    """The line of the last double quote that opened a field of the row."""
    opening, inside = start, False
    for number, line in enumerate(row, start):
        line = line.replace('""', "")  # a quote inside a text, or an empty text
        for place in (match.start() for match in re.finditer('"', line)):
            if not inside and (place == 0 or line[place - 1] == separator):
                opening, inside = number, True
            elif inside and line[place + 1 : place + 2] not in ("", separator, "\r", "\n"):
                return opening
            else:
                inside = False
    return opening


def _too_long(place: str, what: str) -> DataError:
    return DataError(f"{place}: the {what} must have at most {MAX_CHARACTERS} characters")


# --- lines --------------------------------------------------------------------------------------------------


class _Lines:
    """Decoded lines, ends included; an undecodable byte becomes a fault of the row that it is in.

    `memory` holds the lines of the row that is being read.
    """

    def __init__(self, file: io.TextIOWrapper, name: str, encoding: str, offset: int):
        self.name, self.memory = name, list[str]()
        self._file, self._encoding, self._offset = file, encoding, offset
        self._number = 0
        self._fault: DataError | None = None

    def at(self, line: int) -> str:
        return f"{self.name}:{line}"

    def take_fault(self) -> DataError | None:
        """The first fault of the lines since the last call, which are the lines of one row; forgets those lines."""
        self.memory.clear()
        fault, self._fault = self._fault, None
        return fault

    def __iter__(self) -> Iterator[str]:
        try:
            for line in iter(partial(self._file.readline, MAX_CHARACTERS + 1), ""):
                self._number += 1
                if len(line) > MAX_CHARACTERS:
                    raise _too_long(self.at(self._number), "line")
                if line.isascii():
                    self._offset += len(line)
                else:
                    self._inspect(line)
                self.memory.append(line)
                yield line
        except (EOFError, zlib.error, gzip.BadGzipFile):
            raise DataError(f"{self.name} must be a whole gzip file, got a bad one after line {self._number}") from None
        except UnicodeError:
            raise self._undecodable("") from None
        except OSError as error:
            raise ResourceError(f"{self.name} cannot be read after line {self._number}: {error.strerror}") from None

    def _inspect(self, line: str) -> None:
        if self._fault is None and (found := _UNDECODED.search(line)):
            offset = self._offset + len(line[: found.start()].encode(self._encoding, "surrogateescape"))
            self._fault = self._undecodable(f" at byte {offset} of the file")
        self._offset += len(line.encode(self._encoding, "surrogateescape"))

    def _undecodable(self, where: str) -> DataError:
        guess = "latin-1" if self._encoding == "utf-8" else "utf-8"
        return DataError(
            f"{self.at(max(self._number, 1))}: not {self._encoding}{where}",
            hint=f"name the file's encoding, for example --encoding {guess}",
        )


@contextmanager
def _opened(path: str | os.PathLike[str], encoding: str) -> Iterator[_Lines]:
    name = _name(path)
    binary, owned = _binary(path, name)
    try:
        file, codec, start = _decoded(binary, name, encoding)
    except BaseException:
        if owned:
            binary.close()
        raise
    try:
        yield _Lines(file, name, codec, start)
    finally:
        if owned:
            file.close()
        else:
            file.detach()  # standard input is not ours to close


def _binary(path: str | os.PathLike[str], name: str) -> tuple[Any, bool]:
    """The bytes of the source, unpacked, and whether they are ours to close."""
    if str(path) == "-":
        buffer: Any = sys.stdin.buffer
        return (buffer if hasattr(buffer, "peek") else io.BufferedReader(buffer)), False
    try:
        if is_bundled(path):
            return files("scriptchain.data").joinpath(f"{path}.csv").open("rb"), True
        return (gzip.open if Path(path).suffix.lower() == ".gz" else open)(path, "rb"), True
    except FileNotFoundError:
        raise DataError(f"{name} does not exist", hint="check the path, or try the bundled set: emotions") from None
    except IsADirectoryError:
        raise DataError(f"{name} must be a file, got a directory") from None
    except (OSError, ValueError) as error:
        raise ResourceError(f"{name} cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _decoded(binary: Any, name: str, encoding: str) -> tuple[io.TextIOWrapper, str, int]:
    """The text of the bytes, the name of its encoding, and the number of bytes before its first character."""
    try:
        head = binary.peek(4)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise DataError(f"{name} must be gzip, as its name says", hint="take .gz off its name") from None
    except OSError as error:
        raise ResourceError(f"{name} cannot be read: {error.strerror}") from None
    if head.startswith(b"\x1f\x8b"):
        raise DataError(f"{name} is gzip, its name must end in .gz", hint="rename it or unpack it with gunzip")
    try:
        codec = codecs.lookup(encoding).name.removesuffix("-sig")
        file = io.TextIOWrapper(
            binary, encoding="utf-8-sig" if codec == "utf-8" else encoding, errors="surrogateescape", newline=""
        )
    except (LookupError, ValueError):
        hint = "for example utf-8, utf-16, latin-1 or cp1252"
        raise UsageError(f"encoding must be the name of a text encoding, got {shown(encoding)}", hint=hint) from None
    if codec == "utf-8" and head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        file.detach()
        raise DataError(f"{name}:1: not utf-8 but utf-16 at byte 0 of the file", hint="say --encoding utf-16")
    return file, codec, 3 * head.startswith(codecs.BOM_UTF8)


def is_bundled(path: str | os.PathLike[str]) -> bool:
    """Whether the name is that of a bundled set and no file of that name is there."""
    return str(path) in BUNDLED and not Path(path).exists()


def _name(path: str | os.PathLike[str]) -> str:
    return "standard input" if str(path) == "-" else shown(str(path), 200)


# --- tables in memory, known by what they can do: no table library is imported ------------------------------


def _in_memory(source: Any, text_column: str | None, label_column: str | None, **rules: Any) -> Records:
    first = source[0] if isinstance(source, list) and source else None
    if isinstance(source, Mapping) or isinstance(first, Mapping) or _has_columns(source):
        return from_frame(source, text_column=text_column, label_column=label_column, **rules)
    return from_python(source, **rules)


def _has_columns(source: Any) -> bool:
    return any(hasattr(type(source), name) for name in ("columns", "column_names"))


def _frame_columns(frame: Any) -> list[Any]:
    if hasattr(frame, "collect"):  # a lazy frame of polars
        raise UsageError(f"data must be in memory, got {type(frame).__name__}", hint="call its collect() first")
    names = getattr(frame, "column_names", None)
    if isinstance(names, Mapping):
        raise UsageError(f"data must be one split, got {type(frame).__name__}", hint='choose one, as in data["train"]')
    if names is None:
        names = frame if isinstance(frame, Mapping) else getattr(frame, "columns", None)
    if names is None and isinstance(frame, Sequence) and frame and isinstance(frame[0], Mapping):
        names = frame[0]
    if names is None:
        raise UsageError(f"data must be a table, got {type(frame).__name__}", hint=_TABLES)
    return list(names)


def _column(frame: Any, name: Any) -> Any:
    if isinstance(frame, Sequence):
        return [row.get(name) if isinstance(row, Mapping) else None for row in frame]
    return frame[name]


def _class_names(frame: Any, label: str, values: Any) -> Any:
    """The labels of a `datasets.Dataset` as names: it keeps numbers, and -1 where there is none."""
    features = getattr(frame, "features", None)
    names = getattr(features.get(label), "names", None) if isinstance(features, Mapping) else None
    if not isinstance(names, list):
        return values
    return [None if value is None or not 0 <= value < len(names) else names[value] for value in values]


def _values(values: Any, name: str) -> list[Any]:
    if isinstance(values, (str, bytes, Mapping)) or _has_columns(values) or not isinstance(values, Iterable):
        hint = "a list, a tuple, an array or a series; a table goes to from_frame"
        raise UsageError(f"{name} must be a list, got {type(values).__name__}", hint=hint)
    for method in ("to_list", "to_pylist", "tolist"):
        if hasattr(values, method):
            values = getattr(values, method)()
            break
    else:
        values = list(values)
    if not isinstance(values, list):  # an array without a dimension
        raise UsageError(f"{name} must be a list, got a single {type(values).__name__}")
    return values
