"""`scriptchain predict MODEL [TEXT ...]`: labels for arguments, files of any size, folders, or standard input."""

import os
import sys
import time
from collections.abc import Generator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ..errors import DataError, UsageError
from ..report import duration, shown
from .options import Encoding, OnBadRow, TextColumn, Threads, new_app

if TYPE_CHECKING:
    from ..data.files import Meter
    from ..data.records import Row
    from ..runtime.engines import Maker
    from ..runtime.unfinished import Count

app = new_app()
MANY = 2_000_000  # bytes for each process: some seconds of work, where starting one takes half of one
SILENT = 60.0  # seconds between two lines of progress where nobody watches


@app.command()
def predict(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A run folder.")],
    texts: Annotated[
        list[str] | None, typer.Argument(metavar="[TEXT]...", help="Texts; without any, standard input.")
    ] = None,
    file: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="CSV, TSV, JSON Lines or one text a line, also .gz; Parquet; or a folder of such files.",
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Where to; .csv and .parquet are written as such, DIR/ file by file, else JSON Lines."
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace output files that are there.")] = False,
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
    processes: Annotated[
        int | None, typer.Option(min=1, help="Processes that answer; by default one for each 2 MB, at most one a core.")
    ] = None,
    engine: Annotated[
        Literal["here", "ray"], typer.Option(help="here: this machine; ray: the Ray cluster of RAY_ADDRESS.")
    ] = "here",
) -> None:
    """One line a text, in the order of the input: text, label, score.

    A row that cannot be used gets a line with what is wrong; the exit code is then 3, and 0 with --on-bad-row skip.
    """
    from ..data.records import Row, rows
    from ..runtime.answered import Answered
    from ..runtime.bulk import Bulk, Target, plan
    from ..runtime.lines import Asked

    source = Path(file) if file is not None else Path("-")
    place = None if output is None else Path(output)
    many = place is not None and (source.is_dir() or place.is_dir() or str(output).endswith(os.sep))
    _check(model, texts, file, place, many, force, resume)
    meant = next((text for text in texts or () if text == "-" or os.path.isfile(text)), None)
    if meant is not None:
        sys.stderr.write(f"note: {shown(meant)!r} is answered as a text; --file reads it\n")
    if many and place is not None:
        targets = plan(source, place)
    else:
        size = source.stat().st_size if source.is_file() else 0
        targets = [Target("arguments" if texts else file or "-", place, size)]
    asked = Asked(all_scores, abstain_below, labels_above, familiarity, id_column is not None, raw)
    if any(target.output is not None and target.output.suffix == ".parquet" for target in targets):
        from ..data.parquet import required

        required()

    def read(name: str, meter: "Meter") -> Generator["Row | DataError", None, None]:
        if texts:
            return (Row(number, text, None) for number, text in enumerate(texts, 1))
        # Ids stand where labels would: in the second column that is read.
        return rows(name, text_column=text_column, label_column=id_column, encoding=encoding, plain=True, meter=meter)

    out = sys.stdout  # an engine may keep others from writing between the answers
    maker = _maker(engine, processes, sum(target.size for target in targets) if output is not None else 0)
    with maker(model, threads, asked) as answering:
        job = {
            "model": answering.scorer.session.bundle.id, "--all": all_scores, "--abstain-below": abstain_below,
            "--labels-above": labels_above, "--familiarity": familiarity, "--id-column": id_column, "--raw": raw,
            "--text-column": text_column, "--encoding": encoding,
        }  # fmt: skip
        folder = Answered(place, job, resume=resume, force=force) if many and place is not None else nullcontext()
        with folder as kept:
            todo = targets if kept is None else kept.left(targets)
            standing = _Standing(sum(target.size for target in todo))
            bulk = Bulk(asked, job, read, resume=resume, force=force, told=standing.tell, out=out)
            try:
                bulk.run(todo, answering, None if kept is None else kept.finished)
            finally:
                standing.end()
            count = bulk.count if kept is None else kept.count
            if not count.rows:
                raise DataError(f"no file of {source} has a row")
    _judge(count, on_bad_row)


def _check(
    model: str, texts: list[str] | None, file: str | None, output: Path | None, many: bool, force: bool, resume: bool
) -> None:
    if texts and file is not None:
        raise UsageError("texts must come as arguments or from --file, got both")
    if resume and output is None:
        raise UsageError("--resume must come with --output, got it alone")
    if output is None and file is not None and Path(file).is_dir():
        raise UsageError("a folder of files must come with --output DIR, got none")
    if many and (file is None or file == "-"):
        raise UsageError(
            f"--output must be a file where the texts come from no file, got the directory {str(output)!r}"
        )
    if many and output is not None and output.exists() and not output.is_dir():
        raise UsageError(f"--output must be a directory for a folder of files, got the file {str(output)!r}")
    if output is not None and file is not None and output.resolve() == Path(file).resolve():
        raise UsageError(f"--output must not be the --file, got {str(output)!r} twice")
    if not many and output is not None and output.exists() and not force:
        raise UsageError(f"--output must not exist yet, got {str(output)!r}", hint="--force replaces it")
    if not texts and file is None and sys.stdin.isatty():
        raise UsageError("texts must be given, got none", hint=f"scriptchain predict {model} 'a text'")


def _maker(engine: str, count: int | None, size: int) -> "Maker":
    """Who answers; `size` bytes are to be read."""
    from ..runtime import engines

    if engine == "ray":
        return engines.ray(count)
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    count = count or max(1, min(cores, size // MANY))
    return engines.here if count == 1 else engines.processes(count)


class _Standing:
    """Rows so far, their rate and the time left: on a terminal one line that changes, elsewhere a line a minute."""

    def __init__(self, total: int):
        self._total, self._base = total, 0
        self._live = sys.stderr.isatty()
        self._start = self._shown = time.monotonic()

    def tell(self, rows: int, done: int) -> None:
        """So many rows were answered, and so many bytes of the sources read."""
        self._base = self._base or done  # what was read before the first answers of a resumed run took no time
        now = time.monotonic()
        if now - self._shown <= (1 if self._live else SILENT):
            return
        self._shown = now
        spent = now - self._start
        told = f"{rows:,} rows  {rows / spent:,.0f} rows/s"
        if self._base < done <= self._total:
            left = spent / (done - self._base) * (self._total - done)
            told += f"  {done / self._total:.0%}, about {duration(left)} left"
        sys.stderr.write(f"\r{told}\x1b[K" if self._live else f"{told}\n")
        sys.stderr.flush()

    def end(self) -> None:
        if self._live and self._shown > self._start:
            sys.stderr.write("\n")


def _judge(count: "Count", on_bad_row: str) -> None:
    several = "s" * (count.bad > 1)
    told = f"{count.bad:,} row{several} got no answer, the first: {count.first}"
    if count.bad and on_bad_row == "error":
        raise DataError(told, hint="correct them, or say --on-bad-row skip")
    if count.bad:
        sys.stderr.write(f"{told}\n")
