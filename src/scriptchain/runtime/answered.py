"""A folder of answers while it grows: which of its files are whole, and what was asked of them."""

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import msgspec

from .. import durable
from ..errors import DataError, ModelError, ResourceError, UsageError
from .bulk import Target
from .unfinished import Count, refuse_unfinished, same_job

KEPT = "_answers.json"  # readers of folders leave alone what begins so
OFTEN = 1.0  # seconds between two notes of what is done; a file whose note is missing is made again


class _Kept(msgspec.Struct, forbid_unknown_fields=True):
    """The job, and of each finished file the bytes of its source and the count of its rows."""

    job: dict[str, Any]
    finished: bool = False
    files: dict[str, tuple[int, Count]] = {}


class Answered:
    """`place`, for one process alone. Each file in it takes its name when it is whole; a run that stopped goes on.

    *Raises*: UsageError where files would be replaced and `force` does not say so, or an unfinished job is there and
    neither `resume` nor `force` says what becomes of it; ModelError for one of another job; ResourceError.
    """

    def __init__(self, place: Path, job: Mapping[str, Any], *, resume: bool, force: bool):
        self.place = place
        self._resume, self._force = resume, force
        self._kept = _Kept(msgspec.json.decode(msgspec.json.encode(dict(job))))
        self._others: dict[str, tuple[int, Count]] = {}  # of the same job, and not of this run
        self._noted, self._begun, self._going_on = time.monotonic(), False, False
        self._cleanup = ExitStack()

    def __enter__(self) -> "Answered":
        with ExitStack() as undo:
            try:
                self.place.mkdir(parents=True, exist_ok=True)
                undo.enter_context(durable.locked(self.place / "_lock"))
                undo.callback((self.place / "_lock").unlink, missing_ok=True)
                for left in self.place.glob(f".{KEPT}.*{durable.TEMPORARY}"):
                    left.unlink()
            except OSError as error:
                raise self._lost(error) from None
            self._begin()
            self._cleanup = undo.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if self._begun and (kind is None or self._kept.files or any(self.place.rglob("*-partial"))):
                self._note(finished=kind is None)
            elif self._begun:
                (self.place / KEPT).unlink(missing_ok=True)
        finally:
            self._cleanup.close()
            with suppress(OSError):
                self.place.rmdir()  # if nothing is in it

    @property
    def count(self) -> Count:
        """The rows of this run's files."""
        mine = (count for name, (_, count) in self._kept.files.items() if name not in self._others)
        return sum(mine, Count())

    def left(self, targets: Sequence[Target]) -> list[Target]:
        """Those that are not there yet. Raises UsageError where that would replace files, DataError for other texts."""
        names = {self._name(target): target for target in targets}
        for name, (size, _) in self._kept.files.items():
            if self._going_on and name in names and names[name].size != size:
                raise DataError(
                    f"{self.place} must go on with {names[name].source} as it was, got {names[name].size:,} bytes "
                    f"for {size:,}",
                    hint="--force answers everything again",
                )
        self._others = {name: file for name, file in self._kept.files.items() if name not in names}
        if not self._going_on:
            self._kept.files = dict(self._others)
        left = [target for name, target in names.items() if name not in self._kept.files]
        outputs = [target.output for target in left if target.output is not None]
        there = [output for output in outputs if output.exists()]
        if there and not self._force and not self._going_on:
            raise UsageError(f"--output must not hold {there[0]} yet, got it", hint="--force replaces it")
        self._note(finished=False)
        self._begun = True
        return left

    def finished(self, target: Target, count: Count) -> None:
        """A file that has its name."""
        self._kept.files[self._name(target)] = target.size, count
        if time.monotonic() - self._noted > OFTEN:
            self._note(finished=False)

    def _begin(self) -> None:
        path = self.place / KEPT
        if not path.exists():
            return
        try:
            kept = msgspec.json.decode(path.read_bytes(), type=_Kept)
        except msgspec.DecodeError as error:
            if self._force:
                return
            raise ModelError(f"{path} must say what its folder holds ({error})", hint="--force") from None
        if self._resume:
            same_job(self.place, kept.job, self._kept.job)
            self._going_on = True
        elif not kept.finished and not self._force:
            refuse_unfinished(self.place)
        if kept.job == self._kept.job:
            self._kept.files = kept.files

    def _note(self, finished: bool) -> None:
        self._kept.finished = finished
        try:
            durable.write(self.place / KEPT, msgspec.json.format(msgspec.json.encode(self._kept)))
        except OSError as error:
            raise self._lost(error) from None
        self._noted = time.monotonic()

    def _name(self, target: Target) -> str:
        assert target.output is not None
        return str(target.output.relative_to(self.place))

    def _lost(self, error: OSError) -> OSError:
        if isinstance(error, ResourceError):
            return error
        return ResourceError(f"{self.place} cannot be written ({error.strerror})")
