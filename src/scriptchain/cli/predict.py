"""`scriptchain predict MODEL [TEXT ...]`: labels for arguments, a file of any size, or standard input."""

import csv
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import ResourceError, UsageError
from ..report import Stream
from .options import Encoding, OnBadRow, TextColumn, Threads, new_app

app = new_app()
CHUNK = 2048


@app.command()
def predict(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A run folder.")],
    texts: Annotated[
        list[str] | None, typer.Argument(metavar="[TEXT]...", help="Texts; without any, standard input.")
    ] = None,
    file: Annotated[
        str | None, typer.Option(metavar="FILE", help="CSV, TSV, JSON Lines, or one text a line; also .gz.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where to; .csv writes CSV, else JSON Lines.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an output file that is there.")] = False,
    all_scores: Annotated[bool, typer.Option("--all", help="The probability of every class too.")] = False,
    text_column: TextColumn = None,
    encoding: Encoding = "utf-8",
    on_bad_row: OnBadRow = "error",
    threads: Threads = None,
) -> None:
    """One line a text, in the order of the input: text, label, score."""
    from ..data.records import stream
    from ..runtime.session import Session

    if texts and file is not None:
        raise UsageError("texts must come as arguments or from --file, got both")
    if output is not None and output.exists() and not force:
        raise UsageError(f"--output must not exist yet, got {str(output)!r}", hint="--force replaces it")
    if output is not None and output.is_dir():
        raise UsageError(f"--output must be a file, got the directory {str(output)!r}")
    if not texts and file is None and sys.stdin.isatty():
        raise UsageError("texts must be given, got none", hint=f"scriptchain predict {model} 'a text'")
    session = Session(model, threads=threads)
    if texts:
        incoming: Iterator[str] = iter(texts)
    else:
        rows = stream(file or "-", text_column=text_column, encoding=encoding, on_bad_row=on_bad_row, plain=True)
        incoming = (row.text for row in rows)
    names = session.labels.names
    with _sink(output) as target:
        write = _writer(target, names if all_scores else (), as_csv=output is not None and output.suffix == ".csv")
        while chunk := list(islice(incoming, CHUNK)):
            for text, scores in zip(chunk, session.probabilities(chunk), strict=True):
                best = int(scores.argmax())
                write(text, names[best], float(scores[best]), [float(score) for score in scores] if all_scores else [])


def _writer(target: Stream, names: Sequence[str], as_csv: bool) -> Callable[[str, str, float, Iterable[float]], Any]:
    """How one answer is written; `names` are the classes whose scores are added."""
    if as_csv:
        rows = csv.writer(target, lineterminator="\n")
        rows.writerow(["text", "label", "score", *names])
        return lambda text, label, score, scores: rows.writerow(
            [text, label, f"{score:.6f}", *(f"{value:.6f}" for value in scores)]
        )

    def write(text: str, label: str, score: float, scores: Iterable[float]) -> None:
        line: dict[str, Any] = {"text": text, "label": label, "score": round(score, 6)}
        if names:
            line["scores"] = {name: round(value, 6) for name, value in zip(names, scores, strict=True)}
        target.write(json.dumps(line, ensure_ascii=False) + "\n")

    return write


@contextmanager
def _sink(output: Path | None) -> Iterator[Stream]:
    """Standard output, or a file that gets its name only when it is complete."""
    if output is None:
        yield sys.stdout
        return
    try:
        handle, name = tempfile.mkstemp(prefix=f".{output.name}-", dir=output.parent)
    except OSError as error:
        raise ResourceError(f"{output.parent} must be a folder that can be written ({error.strerror})") from None
    try:
        with open(handle, "w", encoding="utf-8", errors="backslashreplace", newline="") as target:
            yield target
        os.chmod(name, 0o644)
        os.replace(name, output)
    finally:
        Path(name).unlink(missing_ok=True)
