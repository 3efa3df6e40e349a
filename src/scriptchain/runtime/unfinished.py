"""A file of answers that grows for hours beside its name, and goes on after any break as if there had been none."""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, NoReturn

import msgspec

from .. import durable
from ..errors import DataError, ModelError, ResourceError, UsageError


class Count(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Rows, those without an answer, and why the first of these has none."""

    rows: int = 0
    bad: int = 0
    first: str = ""

    def __add__(self, other: "Count") -> "Count":
        return Count(self.rows + other.rows, self.bad + other.bad, self.first or other.first)


class Claim(NamedTuple):
    """A chunk that is to be answered: its number, from 1, and a hash chained over all texts up to its end."""

    number: int
    texts: str


class _At(msgspec.Struct, forbid_unknown_fields=True):
    """How far the file is: whole chunks, their bytes, a hash chained over the texts of all of them, their rows."""

    job: dict[str, Any]
    chunks: int = 0
    bytes: int = 0
    texts: str = ""
    count: Count = Count()


def refuse_unfinished(place: Path) -> NoReturn:
    raise UsageError(
        f"{place} must be free, got an unfinished output",
        hint="--resume goes on with it, --force starts from the beginning",
    )


def same_job(place: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raises ModelError where what an output was begun with is not what it is to go on with."""
    for key, value in now.items():
        if before.get(key) != value:
            raise ModelError(
                f"{place} must go on with the {key} that it began with, got {value!r} for {before.get(key)!r}",
                hint="--force starts from the beginning",
            )


class Unfinished:
    """`path` while it grows, in the folder `PATH-partial`, by chunks of texts; for one process alone.

    A chunk counts when its answers are on the disk and the state says so. `job` is what a run that goes on must have
    in common with the one that stopped.

    *Raises*: UsageError where an unfinished file is there and neither `resume` nor `force` says what becomes of it;
    ModelError for one of another job; ResourceError where another process writes it, or the disk does not take it.
    """

    def __init__(self, path: Path, job: Mapping[str, Any], *, resume: bool, force: bool):
        self.path, self.folder = path, path.with_name(f"{path.name}-partial")
        self._job = json.loads(json.dumps(job))
        self._resume, self._force = resume, force
        self._seen, self._chain, self._at = 0, "", _At(self._job)
        self._cleanup = ExitStack()

    def __enter__(self) -> "Unfinished":
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self) -> None:
        with ExitStack() as undo:
            try:
                self.folder.mkdir(exist_ok=True)
                undo.enter_context(durable.locked(self.folder / "lock"))
                self._at = self._begin()
                self._file: BinaryIO = undo.enter_context(open(self.folder / "rows", "ab", buffering=0))
                self._file.truncate(self._at.bytes)  # behind it stands what was written and never counted
            except OSError as error:
                raise self._lost(error) from None
            self._cleanup = undo.pop_all()

    def close(self) -> None:
        """What was written stays; a file that has nothing leaves nothing."""
        if not self._at.chunks:
            shutil.rmtree(self.folder, ignore_errors=True)
        self._cleanup.close()

    @property
    def count(self) -> Count:
        """The rows whose answers are there."""
        return self._at.count

    def claim(self, texts: Sequence[str]) -> Claim | None:
        """The next chunk of the input; None where its answers are there already.

        *Raises*: DataError where the input is not the one that the file was begun with.
        """
        self._seen += 1
        self._chain = hashlib.sha256((self._chain + json.dumps(texts)).encode()).hexdigest()
        if self._seen == self._at.chunks and self._chain != self._at.texts:
            raise DataError(
                f"{self.folder} must go on with the texts that it began with, got others",
                hint="--force starts from the beginning",
            )
        return Claim(self._seen, self._chain) if self._seen > self._at.chunks else None

    def append(self, claim: Claim, content: bytes, count: Count) -> None:
        """The answers of the next chunk that was claimed."""
        assert claim.number == self._at.chunks + 1
        try:
            view = memoryview(content)
            while view:
                view = view[self._file.write(view) :]
            os.fsync(self._file.fileno())
            at = _At(self._job, claim.number, self._at.bytes + len(content), claim.texts, self._at.count + count)
            durable.write(self.folder / "state.json", msgspec.json.encode(at))
        except OSError as error:
            raise self._lost(error) from None
        self._at = at

    def finish(self, convert: Callable[[Path, Path], None] | None = None) -> None:
        """Gives the file its name; `convert` makes a file of another format, its second path, from the lines."""
        try:
            if convert is not None:
                convert(self.folder / "rows", self.folder / "converted")
                durable.flush(self.folder / "converted")
            os.rename(self.folder / ("rows" if convert is None else "converted"), self.path)
            durable.flush(self.path.parent)
        except OSError as error:
            raise self._lost(error) from None
        shutil.rmtree(self.folder, ignore_errors=True)

    def _begin(self) -> _At:
        """Where the file stands."""
        state = self.folder / "state.json"
        durable.sweep(self.folder)
        if state.exists() and not (self._resume or self._force):
            refuse_unfinished(self.folder)
        if not state.exists() or not self._resume:
            state.unlink(missing_ok=True)
            return _At(self._job)
        try:
            at = msgspec.json.decode(state.read_bytes(), type=_At)
        except msgspec.DecodeError as error:
            raise ModelError(f"{state} must say how far the output is ({error})", hint="--force") from None
        same_job(self.folder, at.job, self._job)
        rows = self.folder / "rows"
        if not rows.exists() or rows.stat().st_size < at.bytes:
            raise ModelError(f"{rows} must hold {at.bytes:,} bytes, got less", hint="--force")
        return at

    def _lost(self, error: OSError) -> OSError:
        if isinstance(error, ResourceError):
            return error
        kept = f"; {self._at.chunks:,} chunks are kept in {self.folder}" if self._at.chunks else ""
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        return ResourceError(
            f"{self.path} cannot be written ({error.strerror}){kept}",
            hint=f"{'make room, then ' if full else ''}the same command with --resume" if kept else None,
        )
