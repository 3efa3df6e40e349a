"""`scriptchain predict MODEL [TEXT ...]`: labels for arguments, a file of any size, or standard input."""

import csv
import hashlib
import io
import json
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing, nullcontext
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import DataError, UsageError
from ..runtime.answers import DIGITS, label_of, members
from .options import Encoding, OnBadRow, TextColumn, Threads, new_app

if TYPE_CHECKING:
    from ..data.records import Row
    from ..runtime.session import Session
    from ..scoring.familiarity import Familiarity

Answer = tuple["Row | DataError", str | None, list[float], float | None]
Sets = tuple[Sequence[str], float]  # all classes, and the score from which on one is named
Writer = Callable[[Sequence[Answer], bool], str]

app = new_app()
CHUNK = 2048  # rows at a time
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # how a spreadsheet knows one


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
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the unfinished --output, to the same bytes.")
    ] = False,
    all_scores: Annotated[bool, typer.Option("--all", help="The probability of every class too.")] = False,
    abstain_below: Annotated[
        float, typer.Option(min=0, max=1, help="No label where the score is lower; `evaluate` says how sure is enough.")
    ] = 0.0,
    labels_above: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="All labels with such a score too; `evaluate` says how often they hold the right one."
        ),
    ] = None,
    familiarity: Annotated[
        bool,
        typer.Option("--familiarity", help="How much each text is like those held out of training, 0 to 1."),
    ] = False,
    id_column: Annotated[str | None, typer.Option(help="Column to copy as `id`.")] = None,
    raw: Annotated[
        bool, typer.Option("--raw", help="CSV: leave texts that a spreadsheet would run as formulas as they are.")
    ] = False,
    text_column: TextColumn = None,
    encoding: Encoding = "utf-8",
    on_bad_row: OnBadRow = "error",
    threads: Threads = None,
) -> None:
    """One line a text, in the order of the input: text, label, score.

    A row that cannot be used gets a line with what is wrong; the exit code is then 3, and 0 with --on-bad-row skip.
    """
    from ..data.records import Row, rows
    from ..runtime.session import Session
    from ..runtime.unfinished import Unfinished
    from ..scoring.familiarity import required

    _check(model, texts, file, output, force, resume)
    session = Session(model, threads=threads)
    if texts:
        incoming: Generator[Row | DataError, None, None] = (
            Row(number, text, None) for number, text in enumerate(texts, 1)
        )
    else:  # ids stand where labels would: in the second column that is read
        incoming = rows(file or "-", text_column=text_column, label_column=id_column, encoding=encoding, plain=True)
    names = session.labels.names if all_scores else ()
    as_csv = output is not None and output.suffix == ".csv"
    sets = None if labels_above is None else (session.labels.names, labels_above)
    with_id = id_column is not None
    write = _csv_lines(names, with_id, raw, familiarity, sets) if as_csv else _json_lines(names, with_id, sets)
    like = required(session.held_out) if familiarity else None
    answer = partial(_answers, session, abstain_below=abstain_below, like=like)
    job = {"model": _identity(session.bundle.manifest.files), "--all": all_scores, "--abstain-below": abstain_below,
           "--labels-above": labels_above, "--familiarity": familiarity, "--id-column": id_column, "--raw": raw,
           "--text-column": text_column, "--encoding": encoding}  # fmt: skip
    tally = _Tally()
    unfinished = nullcontext() if output is None else Unfinished(output, job, resume=resume, force=force)
    with closing(incoming), unfinished as growing:
        for number, chunk in enumerate(iter(lambda: list(islice(incoming, CHUNK)), [])):
            tally.add(chunk)
            if growing is None:
                sys.stdout.write(write(answer(chunk), number == 0))
            elif growing.wants([str(row) for row in chunk]):
                growing.append(write(answer(chunk), number == 0).encode("utf-8", "backslashreplace"))
        tally.end(file or "standard input")
        if growing is not None:
            growing.finish()
    tally.judge(on_bad_row)


def _check(
    model: str, texts: list[str] | None, file: str | None, output: Path | None, force: bool, resume: bool
) -> None:
    if texts and file is not None:
        raise UsageError("texts must come as arguments or from --file, got both")
    if resume and output is None:
        raise UsageError("--resume must come with --output, got it alone")
    if output is not None and output.is_dir():
        raise UsageError(f"--output must be a file, got the directory {str(output)!r}")
    if output is not None and file is not None and output.resolve() == Path(file).resolve():
        raise UsageError(f"--output must not be the --file, got {str(output)!r} twice")
    if output is not None and output.exists() and not force:
        raise UsageError(f"--output must not exist yet, got {str(output)!r}", hint="--force replaces it")
    if not texts and file is None and sys.stdin.isatty():
        raise UsageError("texts must be given, got none", hint=f"scriptchain predict {model} 'a text'")


def _identity(files: Mapping[str, str]) -> str:
    return hashlib.sha256("".join(files[name] for name in sorted(files)).encode()).hexdigest()[:16]


def _answers(
    session: "Session", chunk: Sequence["Row | DataError"], abstain_below: float, like: "Familiarity | None"
) -> list[Answer]:
    """Each row with its label and scores; one that is not sure enough without a label, a bad row without both."""
    from ..runtime.session import softmax

    good = [row.text for row in chunk if not isinstance(row, DataError)]
    logits = session.logits(good) if good else None
    scores = iter([] if logits is None else softmax(logits))
    alike = iter([None] * len(good) if like is None or logits is None else like(logits, session.surprise(good)))
    names = session.labels.names
    found: list[Answer] = []
    for row in chunk:
        if isinstance(row, DataError):
            found.append((row, None, [], None))
        else:
            one = next(scores).tolist()
            familiar = next(alike)
            like_them = None if familiar is None else float(familiar)
            found.append((row, label_of(names, one, abstain_below), one, like_them))
    return found


def _json_lines(names: Sequence[str], with_id: bool, sets: Sets | None = None) -> Writer:
    """A line a row; `names` are the classes whose scores are added, `sets` those that may stand beside the label."""

    def line(row: "Row | DataError", label: str | None, scores: list[float], like: float | None) -> dict[str, Any]:
        if isinstance(row, DataError):
            return {"error": row.message}
        told: dict[str, Any] = {"id": row.label} if with_id else {}
        told |= {"text": row.text, "label": label, "score": round(max(scores), DIGITS)}
        if like is not None:
            told["familiarity"] = round(like, DIGITS)
        if sets is not None:
            told["labels"] = members(sets[0], scores, sets[1])
        if names:
            told["scores"] = {name: round(value, DIGITS) for name, value in zip(names, scores, strict=True)}
        return told

    return lambda answers, _: "".join(json.dumps(line(*answer), ensure_ascii=False) + "\n" for answer in answers)


def _csv_lines(
    names: Sequence[str], with_id: bool, raw: bool, familiarity: bool = False, sets: Sets | None = None
) -> Writer:
    """Columns, labels of a set joined by `; `.

    What is text cannot run as a formula in a spreadsheet unless `raw`, and numbers are never touched.
    """

    def safe(text: str | None) -> str:
        return f"'{text}" if text and not raw and text.startswith(FORMULA) else text or ""

    def cells(row: "Row | DataError", label: str | None, scores: list[float], like: float | None) -> list[str]:
        if isinstance(row, DataError):
            return [*[""] * (with_id + 3 + familiarity + (sets is not None) + len(names)), safe(row.message)]
        ids = [safe(row.label)] if with_id else []
        several = [] if sets is None else [safe("; ".join(members(sets[0], scores, sets[1])))]
        top, *rest = [f"{score:.{DIGITS}f}" for score in (max(scores), *(scores if names else ()))]
        alike = [] if like is None else [f"{like:.{DIGITS}f}"]
        return [*ids, safe(row.text), safe(label), top, *alike, *several, *rest, ""]

    def line(cells: Sequence[str]) -> str:
        target = io.StringIO(newline="")
        # Older Pythons quote a carriage return only where it is a part of the line's end.
        csv.writer(target, lineterminator="\r\n").writerow(cells)
        return target.getvalue()[:-2] + "\n"

    def write(answers: Sequence[Answer], first: bool) -> str:
        head = [
            *["id"] * with_id,
            "text",
            "label",
            "score",
            *["familiarity"] * familiarity,
            *["labels"] * (sets is not None),
            *map(safe, names),
            "error",
        ]
        return "".join(map(line, [*[head] * first, *(cells(*answer) for answer in answers)]))

    return write


class _Tally:
    """Rows so far, on a terminal with their rate; and what to say of bad ones at the end."""

    def __init__(self) -> None:
        self._rows = self._bad = 0
        self._first = ""
        self._start = self._shown = time.monotonic()

    def add(self, chunk: Sequence["Row | DataError"]) -> None:
        wrong = [row for row in chunk if isinstance(row, DataError)]
        self._rows, self._bad = self._rows + len(chunk), self._bad + len(wrong)
        if wrong and not self._first:
            self._first = wrong[0].message
        now = time.monotonic()
        if sys.stderr.isatty() and now - self._shown > 1:
            self._shown = now
            sys.stderr.write(f"\r{self._rows:,} rows  {self._rows / (now - self._start):,.0f} rows/s\x1b[K")
            sys.stderr.flush()

    def end(self, source: str) -> None:
        if self._shown > self._start:
            sys.stderr.write("\n")
        if not self._rows:
            raise DataError(f"{source} has no rows")

    def judge(self, on_bad_row: str) -> None:
        several = "s" * (self._bad > 1)
        told = f"{self._bad:,} row{several} got no answer, the first: {self._first}"
        if self._bad and on_bad_row == "error":
            raise DataError(told, hint="correct them, or say --on-bad-row skip")
        if self._bad:
            sys.stderr.write(f"{told}\n")
