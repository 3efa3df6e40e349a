"""Rows as they stand in a file, in a bundled set or in standard input: its bytes, its lines and its format."""

import codecs
import csv
import gzip
import io
import json
import os
import re
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib.resources import files
from itertools import chain
from pathlib import Path
from typing import Any

from ..errors import DataError, ResourceError, UsageError
from ..report import shown

MAX_CHARACTERS = 10 * 2**20  # of a line and of a field: one row must never fill the memory
MAX_UNPACKED, MAX_RATIO = 64 * 2**20, 200  # bytes out of gzip; beyond them, bytes out for each byte in
SKIP_HINT = "correct or remove the row, or say --on-bad-row skip"
UNDECODED = re.compile("[\ud800-\udfff]")
BUNDLED = ("emotions",)

KINDS = {".csv": "csv", ".tsv": "tsv", ".jsonl": "json", ".ndjson": "json", ".json": "json", ".txt": "plain"}
_JSON_OBJECT = re.compile(r'\s*\{\s*["}]')

Chooser = Callable[[Sequence[str], str], tuple[str, str | None]]
RawRow = tuple[int, Any, Any]


def is_bundled(path: str | os.PathLike[str]) -> bool:
    """Whether the name is that of a bundled set and no file of that name is there."""
    return str(path) in BUNDLED and not Path(path).exists()


def source_name(path: str | os.PathLike[str]) -> str:
    return "standard input" if str(path) == "-" else shown(str(path), 200)


def listed(names: Sequence[str]) -> str:
    """The first ten names, quoted, and how many more there are."""
    if not names:
        return "none"
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return ", ".join(repr(shown(name, 40)) for name in names[:10]) + more


# --- lines --------------------------------------------------------------------------------------------------


class Meter:
    """How many bytes of a file were read so far, packed ones of a packed file."""

    def __init__(self) -> None:
        self.bytes: Callable[[], int] = int  # 0 while nothing is open


class Lines:
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
        if self._fault is None and (found := UNDECODED.search(line)):
            offset = self._offset + len(line[: found.start()].encode(self._encoding, "surrogateescape"))
            self._fault = self._undecodable(f" at byte {offset} of the file")
        self._offset += len(line.encode(self._encoding, "surrogateescape"))

    def _undecodable(self, where: str) -> DataError:
        guess = "latin-1" if self._encoding == "utf-8" else "utf-8"
        return DataError(
            f"{self.at(max(self._number, 1))}: not {self._encoding}{where}",
            hint=f"name the file's encoding, for example --encoding {guess}",
        )


def _too_long(place: str, what: str) -> DataError:
    return DataError(f"{place}: the {what} must have at most {MAX_CHARACTERS} characters")


# --- opening ------------------------------------------------------------------------------------------------


@contextmanager
def opened(path: str | os.PathLike[str], encoding: str, meter: Meter | None = None) -> Iterator[Lines]:
    name = source_name(path)
    binary, owned = open_binary(path, name)
    try:
        file, codec, start = _decoded(binary, name, encoding)
    except BaseException:
        if owned:
            binary.close()
        raise
    if meter is not None and owned:
        packed: Any = getattr(binary, "fileobj", None)
        meter.bytes = (binary.raw if packed is None else packed).tell
    try:
        yield Lines(file, name, codec, start)
    finally:
        if meter is not None:
            meter.bytes = int
        if owned:
            file.close()
        else:
            file.detach()  # standard input is not ours to close


def open_binary(path: str | os.PathLike[str], name: str) -> tuple[Any, bool]:
    """The bytes of the source, unpacked, and whether they are ours to close."""
    if str(path) == "-":
        buffer: Any = sys.stdin.buffer
        return (buffer if hasattr(buffer, "peek") else io.BufferedReader(buffer)), False
    try:
        if is_bundled(path):
            return files("scriptchain.data").joinpath(f"{path}.csv").open("rb"), True
        return (_Unpacked if Path(path).suffix.lower() == ".gz" else open)(path, "rb"), True
    except FileNotFoundError:
        raise DataError(f"{name} does not exist", hint="check the path, or try the bundled set: emotions") from None
    except IsADirectoryError:
        raise DataError(f"{name} must be a file, got a directory") from None
    except (OSError, ValueError) as error:
        raise ResourceError(f"{name} cannot be read: {getattr(error, 'strerror', None) or error}") from None


class _Unpacked(gzip.GzipFile):
    """A gzip file that does not fill memory or disk out of a few bytes."""

    _unpacked = 0

    def read1(self, size: int = -1) -> bytes:
        data = super().read1(size)
        self._unpacked += len(data)
        packed: Any = self.fileobj
        if self._unpacked > MAX_UNPACKED and packed.seekable() and self._unpacked > MAX_RATIO * packed.tell():
            raise DataError(
                f"{source_name(str(self.name))} unpacks to more than {MAX_RATIO} times its size",
                hint="if that is right, unpack it with gunzip",
            )
        return data


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


# --- formats ------------------------------------------------------------------------------------------------


def raw_rows(
    path: str | os.PathLike[str], lines: Lines, choose: Chooser, text_column: str | None, plain: bool
) -> Iterator[RawRow | DataError]:
    """The rows with their lines, or their faults; `choose` names the text and label columns of those found."""
    kind, content = _kind(path, lines, text_column, plain)
    if kind == "plain":
        return _plain_rows(lines, content)
    return _json_rows(lines, content, choose) if kind == "json" else _csv_rows(lines, content, kind, choose)


def _kind(
    path: str | os.PathLike[str], lines: Lines, text_column: str | None, plain: bool
) -> tuple[str, Iterator[str]]:
    """The format by the file's name, or by the first line where there is no name; and the lines to be read."""
    content = iter(lines)
    suffixes = [suffix.lower() for suffix in Path(path).suffixes if suffix.lower() != ".gz"]
    kind = "csv" if is_bundled(path) else KINDS.get(suffixes[-1] if suffixes else "")
    if kind is None and (str(path) == "-" or not Path(path).is_file()):
        blank: list[str] = []
        for first in content:
            blank.append(first)
            if not first.isspace():
                break
        return _sniffed(blank[-1] if blank else "", text_column, plain), chain(blank, content)
    if kind is None or (kind == "plain" and not plain):
        raise DataError(
            f"{lines.name} must end in .csv, .tsv, .jsonl, .ndjson or .json, or one of these and .gz, or in .parquet"
        )
    return kind, content


def _sniffed(first: str, text_column: str | None, plain: bool) -> str:
    if _JSON_OBJECT.match(first) if plain else first.lstrip().startswith("{"):
        return "json"
    kind = "tsv" if "\t" in first and "," not in first else "csv"
    if plain:
        header = next(csv.reader([first], delimiter="\t" if kind == "tsv" else ","), [])
        kind = kind if (text_column or "text") in map(str.strip, header) else "plain"
    return kind


def _plain_rows(lines: Lines, content: Iterator[str]) -> Iterator[RawRow | DataError]:
    for number, line in enumerate(content, 1):
        yield lines.take_fault() or (number, line.rstrip("\r\n"), None)


def _json_rows(lines: Lines, content: Iterator[str], choose: Chooser) -> Iterator[RawRow | DataError]:
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
            yield DataError(f"{lines.at(number)}: not a JSON object{why}", hint=SKIP_HINT)
        else:
            columns = columns or choose(list(value), lines.at(number))
            text, label = columns
            yield number, value.get(text), None if label is None else value.get(label)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        doubled = [name for name, count in Counter(name for name, _ in pairs).items() if count > 1]
        raise ValueError(f"a key is doubled: {listed(doubled)}")
    return value


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _json_fault(error: ValueError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg}, column {error.colno}"
    return str(error)


def _csv_rows(lines: Lines, content: Iterator[str], kind: str, choose: Chooser) -> Iterator[RawRow | DataError]:
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
            hint = "put a text that has a separator in it in double quotes" if len(row) > width else SKIP_HINT
            yield DataError(f"{lines.at(start)}: {len(row)} columns, the header has {width}", hint=hint)
        else:
            yield start, row[text_at], None if label_at is None else row[label_at]


def _csv_cells(lines: Lines, reader: Any, kind: str) -> Iterator[tuple[int, list[str] | DataError]]:
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


def _csv_fault(lines: Lines, start: int, kind: str, message: str) -> DataError:
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
