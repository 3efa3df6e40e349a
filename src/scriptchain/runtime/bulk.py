"""Files of texts to files of answers: in constant memory, in order, and on after any break to the same bytes."""

import sys
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from ..data.files import KINDS, Meter
from ..data.parquet import from_lines, is_parquet
from ..data.records import Row
from ..errors import DataError, UsageError
from ..report import Stream
from .engines import Engine, Work
from .lines import Asked, Given, csv_lines
from .unfinished import Claim, Count, Unfinished

CHUNK = 2048  # rows at a time
Reader = Callable[[str, Meter], Generator["Row | DataError", None, None]]


@dataclass(frozen=True)
class Target:
    """A source, where its answers go (None: standard output), and how many bytes it has (0: nobody knows)."""

    source: str
    output: Path | None = None
    size: int = 0

    @property
    def form(self) -> str:
        return "csv" if self.output is not None and self.output.suffix == ".csv" else "json"


def plan(source: Path, output: Path) -> list[Target]:
    """The files of a folder, or the one file, each with its place in the folder of answers.

    CSV and TSV become CSV, Parquet stays what it is, everything else becomes JSON Lines. What is no file of texts by
    its name, or begins with `.` or `_`, is left out.

    *Raises*: DataError for a folder without such files, or with two whose answers would have one name.
    """
    if not source.exists():
        return [Target(str(source), output / source.name)]  # whoever reads it says so
    root = source.parent if source.is_file() else source
    if source.is_dir() and output.resolve().is_relative_to(source.resolve()):
        raise UsageError(f"--output must lie outside of {source}, got {output}")
    targets: dict[Path, Target] = {}
    for path in [source] if source.is_file() else sorted(source.rglob("*")):
        place = path.relative_to(root)
        plain = place.with_suffix("") if place.suffix.lower() == ".gz" else place
        kind = plain.suffix.lower()
        if not path.is_file() or kind not in (*KINDS, ".parquet") or any(one[0] in "._" for one in place.parts):
            continue
        suffix = {".tsv": ".csv", ".csv": ".csv", ".parquet": ".parquet"}.get(kind, ".jsonl")
        made = output / plain.with_suffix(suffix)
        if made in targets:
            raise DataError(
                f"{targets[made].source} and {path} must not both become {made.name}", hint="rename one of them"
            )
        targets[made] = Target(str(path), made, path.stat().st_size)
    if not targets:
        raise DataError(f"{source} must hold files that end in {', '.join(KINDS)} or .parquet, got none")
    return list(targets.values())


class Bulk:
    """One job: every target is read by `read`, answered by an engine, and grows by the rules of Unfinished.

    After each chunk `told` hears how many rows were answered, and how many bytes of the sources were read. `count` is
    of all rows that have their lines, those of a run before among them.
    """

    def __init__(
        self,
        asked: Asked,
        job: Mapping[str, Any],
        read: Reader,
        *,
        resume: bool = False,
        force: bool = False,
        told: Callable[[int, int], None] = lambda rows, done: None,
        out: Stream | None = None,
    ):
        self.count = Count()
        self._asked, self._job, self._read = asked, job, read
        self._resume, self._force, self._told = resume, force, told
        self._out = out or sys.stdout
        self._open: dict[Target, Unfinished] = {}
        self._meter, self._before, self._answered = Meter(), 0, 0

    def run(
        self, targets: Sequence[Target], engine: Engine, finished: Callable[[Target, Count], None] | None = None
    ) -> None:
        """`finished` hears of each file that has its name; without it, a source that has no rows is an error.

        *Raises*: as the reader and as Unfinished.
        """
        names = engine.scorer.session.labels.names
        with closing(self._works(targets, empty=finished is not None)) as works:
            try:
                for work, lines in engine.run(works):
                    target, claim = work.ticket
                    growing = self._open.get(target)
                    if claim is None:
                        count = self._end(target, names)
                        if finished is not None:
                            finished(target, count)
                        continue
                    count = Count(len(work.rows), lines.bad, lines.first)
                    if growing is None:
                        self._out.write(lines.content.decode())
                    elif work.rows:
                        growing.append(claim, lines.content, count)
                    else:
                        head = csv_lines([], self._asked, names, first=True) if target.form == "csv" else ""
                        growing.append(claim, head.encode(), count)
                    self.count += count
                    self._answered += count.rows
                    self._told(self._answered, self._before + self._meter.bytes())
            finally:
                for growing in self._open.values():
                    growing.close()

    def _works(self, targets: Sequence[Target], empty: bool) -> Generator[Work, None, None]:
        """The chunks of all sources that have no answers yet, and behind those of each an end without a claim."""
        for target in targets:
            growing = None
            if target.output is not None:
                if empty:  # a folder has folders
                    target.output.parent.mkdir(parents=True, exist_ok=True)
                growing = Unfinished(target.output, self._job, resume=self._resume, force=self._force)
                growing.open()
                self._open[target] = growing
                self.count += growing.count
            number = 0
            with closing(self._read(target.source, self._meter)) as rows:
                for number, chunk in enumerate(iter(partial(_next, rows), []), 1):
                    claim = Claim(number, "") if growing is None else growing.claim([str(row) for row in chunk])
                    if claim is not None:
                        given = [_given(row, target.source) for row in chunk]
                        yield Work((target, claim), given, target.form, first=number == 1)
            if not number and not empty:
                raise DataError(f"{'standard input' if target.source == '-' else target.source} has no rows")
            if not number and growing is not None and (claim := growing.claim([])) is not None:
                yield Work((target, claim), ())
            self._before += target.size
            yield Work((target, None), ())

    def _end(self, target: Target, names: Sequence[str]) -> Count:
        growing = self._open.pop(target, None)
        if growing is None or target.output is None:
            return Count()
        try:
            parquet = partial(from_lines, columns=_columns(self._asked, names)) if is_parquet(target.output) else None
            growing.finish(parquet)
        finally:
            growing.close()
        return growing.count


def _next(rows: Iterator["Row | DataError"]) -> list["Row | DataError"]:
    return list(islice(rows, CHUNK))


def _given(row: "Row | DataError", source: str) -> Given:
    if isinstance(row, DataError):
        return Given("", fault=row.message)
    return Given(f"{source}:{row.line}", row.text, row.label)


def _columns(asked: Asked, names: Sequence[str]) -> dict[str, Any]:
    ids = {"id": str} if asked.with_id else {}
    more = {"familiarity": float} if asked.familiarity else {}
    more |= {"labels": [str]} if asked.labels_above is not None else {}
    more |= {"scores": names} if asked.all_scores else {}
    return ids | {"text": str, "label": str, "score": float} | more | {"error": str}
