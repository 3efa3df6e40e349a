"""Texts and their labels, one row at a time; every fault is named with its place.

A bad row travels as the error that it deserves, so that one function (`_kept`) decides whether the error
is raised or the row is skipped and counted.
"""

import os
from array import array
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple, SupportsIndex

import numpy as np

from ..errors import DataError, UsageError
from ..report import shown
from .files import MAX_CHARACTERS, SKIP_HINT, UNDECODED, Meter, is_bundled, listed, opened, raw_rows, source_name
from .frames import as_list, class_names, frame_column, frame_columns, is_missing, is_table, label_name
from .parquet import is_parquet, parquet_rows
from .spool import Spool, Texts
from .text import model_text

__all__ = ["MAX_CHARACTERS", "Records", "Row", "from_frame", "from_python", "is_bundled", "read", "rows", "stream"]

_AT_ONCE = 50_000  # texts of a file that are held in memory; those of a longer one stand on the disk
_TEXT_NAMES = "text sentence tweet review content message comment document utterance question body"
_LABEL_NAMES = "label labels target category class sentiment emotion intent topic tag"


class Row(NamedTuple):
    """One text; `line` is where it starts (1-based), `label` is None where there is none."""

    line: int
    text: str
    label: str | None


@dataclass(frozen=True)
class Records:
    """Texts, their labels, the 1-based line (in memory: row) of each, and `notes` on what was inferred."""

    texts: Sequence[str]
    labels: list[str] | None
    lines: Sequence[int]
    source: str
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.texts)

    def subset(self, indices: Iterable[SupportsIndex]) -> "Records":
        """The rows at `indices` (0-based), in that order."""
        rows = [int(index) for index in indices]
        labels = None if self.labels is None else [self.labels[row] for row in rows]
        lines = (self.lines[row] for row in rows)
        if isinstance(self.texts, Texts):
            return Records(self.texts.take(rows), labels, array("I", lines), self.source, self.notes)
        return Records([self.texts[row] for row in rows], labels, list(lines), self.source, self.notes)

    def sample(self, most: int, seed: int) -> "Records":
        """No more than `most` rows, drawn at random, in their order."""
        if most >= len(self):
            return self
        return self.subset(np.sort(np.random.default_rng(seed).permutation(len(self))[:most]))

    def distinct(self) -> "Records":
        """The first row of each text, as the model sees it, and label; a note says how many others there were."""
        labels = self.labels or [None] * len(self)
        first: dict[tuple[str, str | None], int] = {}
        for row, (text, label) in enumerate(zip(self.texts, labels, strict=True)):
            first.setdefault((model_text(text), label), row)
        kept = self.subset(first.values())
        again = len(self) - len(kept)
        note = f"{again:,} exact duplicate row{'s' * (again != 1)} left out"
        return replace(kept, notes=[*self.notes, note])


def read(
    source: Any,
    *,
    text_column: str | None = None,
    label_column: str | None = None,
    labels_required: bool = True,
    encoding: str = "utf-8",
    on_bad_row: str = "error",
    plain: bool = False,
) -> Records:
    """All rows of a file, of standard input (`-`), of a bundled set (`emotions`) or of an in-memory table.

    Without `labels_required` the labels are None unless every row has one; `plain` is as in `stream`. The texts of a
    file of more than 50,000 rows stand in a temporary file.

    Raises: DataError (exit 3) for missing or wrong data, with file:line; ResourceError (5) for a file that
    may not be read, or for which there is no room; UsageError (2) for a wrong argument.
    """
    if not isinstance(source, (str, os.PathLike)):
        if not is_table(source):
            return from_python(source, labels_required=labels_required, on_bad_row=on_bad_row)
        return from_frame(
            source,
            text_column=text_column,
            label_column=label_column,
            labels_required=labels_required,
            on_bad_row=on_bad_row,
        )
    notes: list[str] = []
    rows = stream(
        source,
        text_column=text_column,
        label_column=label_column,
        labels_required=labels_required,
        encoding=encoding,
        on_bad_row=on_bad_row,
        plain=plain,
        notes=notes,
    )
    return _records(rows, source_name(source), notes, spooled=True)


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
    found = rows(
        path, text_column=text_column, label_column=label_column, labels_required=labels_required, encoding=encoding,
        plain=plain, notes=notes,
    )  # fmt: skip
    with closing(found):
        yield from _kept(found, source_name(path), on_bad_row, notes)


def rows(
    path: str | os.PathLike[str],
    *,
    text_column: str | None = None,
    label_column: str | None = None,
    labels_required: bool = False,
    encoding: str = "utf-8",
    plain: bool = False,
    notes: list[str] | None = None,
    meter: Meter | None = None,
) -> Generator[Row | DataError, None, None]:
    """As `stream`, with each bad row in its place as the error that names it; `meter` tells how much was read.

    Raises: as `stream`, for what is wrong with more than a row.
    """
    notes = [] if notes is None else notes
    choose = partial(_columns, wanted=(text_column, label_column), required=labels_required, notes=notes)
    if is_parquet(path):
        for row in parquet_rows(path, choose, meter):
            yield _checked(*row, f"{source_name(path)}:{{}}".format, labels_required)
        return
    with opened(path, encoding, meter) as lines:
        for row in raw_rows(path, lines, choose, text_column, plain):
            yield row if isinstance(row, DataError) else _checked(*row, lines.at, labels_required)


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
    texts = as_list(texts, "texts")
    if labels is None and labels_required:
        raise DataError(f"{source} must have labels, got none", hint="give the labels as well")
    labels = [None] * len(texts) if labels is None else as_list(labels, "labels")
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
    names = frame_columns(frame)
    wanted = (text_column, label_column)
    text, label = _columns([str(name) for name in names], source, wanted=wanted, required=labels_required, notes=notes)
    columns = {str(name): name for name in names}
    labels = None if label is None else class_names(frame, label, frame_column(frame, columns[label]))
    return from_python(
        frame_column(frame, columns[text]),
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
        return DataError(f"{at(line)}: text {fault}", hint=SKIP_HINT)
    if type(label) is not str:
        label = label_name(label)
    fault = _label_fault(label)
    if fault is not None and (labels_required or fault not in _ABSENT):
        return DataError(f"{at(line)}: label {fault}", hint=SKIP_HINT)
    if not text.isascii():  # an escape in JSON can write half a character, which nothing can print
        text = UNDECODED.sub("\ufffd", text)
    return Row(line, str(text), label if fault is None else None)


def _text_fault(text: Any) -> str | None:
    if not isinstance(text, str):
        return _ABSENT[0] if is_missing(text) else f"must be a string, got {type(text).__name__}"
    if "\0" in text:
        return "must not have a NUL character"
    return _blank(text)


def _label_fault(label: Any) -> str | None:
    if not isinstance(label, str):
        return _ABSENT[0] if label is None else f"must be a string or a finite number, got {shown(repr(label), 40)}"
    if "\0" in label or (not label.isascii() and UNDECODED.search(label)):
        return f"must be readable text, got {shown(label, 40)}"
    return _blank(label)


_ABSENT = ("must not be missing", "must not be empty", "must not be blank")


def _blank(text: str) -> str | None:
    if not text:
        return _ABSENT[1]
    return _ABSENT[2] if text.isspace() or not (text.isprintable() or model_text(text)) else None


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


def _records(rows: Iterable[Row], source: str, notes: list[str], spooled: bool = False) -> Records:
    texts: list[str] = []
    labels: list[str | None] = []
    lines = array("I")
    names: dict[str | None, str | None] = {}  # one string a class, not one a row
    with Spool() as spool:
        for line, text, label in rows:
            if spooled and len(texts) == _AT_ONCE:
                spool.extend(texts)
                texts = []
            lines.append(line)
            texts.append(text)
            labels.append(names.setdefault(label, label))
        if len(spool):
            spool.extend(texts)
        kept = spool.texts() if len(spool) else texts
    known = [label for label in labels if label is not None]
    if known and len(known) < len(kept):
        notes.append(f"labels ignored: {len(kept) - len(known)} of {len(kept)} rows have none")
    all_lines = lines if isinstance(kept, Texts) else lines.tolist()
    return Records(kept, known if len(known) == len(kept) else None, all_lines, source, notes)


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
        raise DataError(f"{place}: column names must be distinct, got {listed(doubled)} more than once")
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
            f"{place}: the {role} column must be one, got {listed(candidates)}",
            hint=f"choose with --{role}-column NAME (in Python {role}_column=)",
        )
    raise DataError(
        f"{place}: no column {shown(name)!r} among {listed(found)}",
        hint=f"the first line must name the columns, as in text,label; another name goes with --{role}-column NAME "
        f"(in Python {role}_column=)",
    )
