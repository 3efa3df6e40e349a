"""Parquet: rows out of a file in constant memory, and answers into one. Needs the [parquet] extra."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from ..errors import DataError, MissingExtraError, ResourceError, first_line
from .files import UNDECODED, Chooser, Meter, RawRow, open_binary, source_name

AT_ONCE = 2048  # rows


def is_parquet(path: str | os.PathLike[str]) -> bool:
    return Path(path).suffix.lower() == ".parquet"


def parquet_rows(path: str | os.PathLike[str], choose: Chooser, meter: Meter | None = None) -> Iterator[RawRow]:
    """The rows with their numbers, from 1; `choose` names the text and label columns of those found.

    Raises: DataError for what is no whole Parquet file; ResourceError for one that may not be read; MissingExtraError.
    """
    arrow, parquet = _pyarrow()
    name = source_name(path)
    try:
        # pyarrow reads a file of ours piece by piece; what is wrong with the path is said as of every other format.
        with open_binary(path, name)[0] as raw, parquet.ParquetFile(raw, buffer_size=1 << 20) as file:
            columns = [one for one in choose(file.schema_arrow.names, name) if one is not None]
            size, rows = os.fstat(raw.fileno()).st_size, max(1, file.metadata.num_rows)
            number = 0
            if meter is not None:
                meter.bytes = lambda: size * number // rows
            for batch in file.iter_batches(AT_ONCE, columns=columns):
                values = [batch.column(one).to_pylist() for one in columns]
                labels = values[1] if len(columns) > 1 else [None] * len(batch)
                for text, label in zip(values[0], labels, strict=True):
                    number += 1
                    yield number, text, label
    except (arrow.ArrowException, OSError, UnicodeError) as error:
        if isinstance(error, ResourceError):
            raise
        raise DataError(f"{name} must be a whole Parquet file ({first_line(error)})") from None
    finally:
        if meter is not None:
            meter.bytes = int


def from_lines(lines: Path, path: Path, columns: Mapping[str, Any]) -> None:
    """A Parquet file of JSON Lines, which may leave columns out; `columns` are their names and kinds.

    A kind is str, float, [str] for a list, or a sequence of names for that many numbers. Raises OSError.
    """
    arrow, parquet = _pyarrow()

    def kind(told: Any) -> Any:
        if told in (str, float):
            return arrow.string() if told is str else arrow.float64()
        if told == [str]:
            return arrow.list_(arrow.string())
        return arrow.struct([(name, arrow.float64()) for name in told])

    schema = arrow.schema([(name, kind(told)) for name, told in columns.items()])
    with lines.open(encoding="utf-8", newline="\n") as file, parquet.ParquetWriter(path, schema) as writer:
        while chunk := list(islice(file, 16 * AT_ONCE)):
            writer.write_table(arrow.Table.from_pylist(list(map(_row, chunk)), schema))


def _row(line: str) -> dict[str, Any]:
    """An answer; half a character, which a text from the command line may have, becomes U+FFFD."""
    row = json.loads(line)
    return row | {"text": UNDECODED.sub("\ufffd", row["text"])} if "text" in row else row


def required() -> None:
    """Raises MissingExtraError where the library is not there."""
    _pyarrow()


def _pyarrow() -> Sequence[Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MissingExtraError("Parquet (pyarrow)", "parquet") from None
    return pyarrow, pyarrow.parquet
