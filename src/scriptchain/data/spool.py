"""Many texts on the disk in place of memory: in a file without a name, which is mapped.

What is read of it is a copy that the system may drop, not memory of the process's own.
"""

import mmap
import tempfile
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import SupportsIndex, overload

from ..errors import ResourceError


class Texts(Sequence[str]):
    """Texts of a spool, or those at some `rows`: 8 bytes of memory a text, and 4 more where rows were chosen."""

    def __init__(self, content: mmap.mmap | bytes, ends: "array[int]", rows: "array[int] | None" = None):
        self._content, self._ends, self._rows = content, ends, rows

    def take(self, rows: Iterable[int]) -> "Texts":
        """Those at `rows`, in that order; nothing is copied."""
        own = range(len(self)) if self._rows is None else self._rows
        return Texts(self._content, self._ends, array("I", (own[row] for row in rows)))

    def __reduce__(self) -> tuple[Callable[[list[str]], "Texts"], tuple[list[str]]]:
        return _spooled, (list(self),)  # another process has a file of its own

    def __len__(self) -> int:
        return len(self._ends) - 1 if self._rows is None else len(self._rows)

    @overload
    def __getitem__(self, row: SupportsIndex) -> str: ...
    @overload
    def __getitem__(self, row: slice) -> list[str]: ...
    def __getitem__(self, row: SupportsIndex | slice) -> str | list[str]:
        if isinstance(row, slice):
            return [self[one] for one in range(*row.indices(len(self)))]
        at = range(len(self))[row]  # from the end where it is below 0
        at = at if self._rows is None else self._rows[at]
        return self._content[self._ends[at] : self._ends[at + 1]].decode("utf-8", "surrogatepass")


class Spool:
    """Writes texts one after the other; the file is made for the first of them.

    *Raises*: ResourceError where the disk is full or no folder of temporary files is there.
    """

    def __init__(self) -> None:
        self._held, self._file, self._ends = ExitStack(), None, array("q", [0])

    def __enter__(self) -> "Spool":
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()  # what is mapped stays

    def __len__(self) -> int:
        return len(self._ends) - 1

    def extend(self, texts: Sequence[str]) -> None:
        parts = [text.encode("utf-8", "surrogatepass") for text in texts]
        with room(f"{len(self) + len(texts):,} texts"):
            if self._file is None:
                self._file = self._held.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - closed with the spool
            self._file.write(b"".join(parts))
            self._file.flush()
        for part in parts:
            self._ends.append(self._ends[-1] + len(part))

    def texts(self) -> Texts:
        """All of them."""
        if self._file is None or not self._ends[-1]:  # a file without a byte cannot be mapped
            return Texts(b"", self._ends)
        return Texts(mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ), self._ends)


def _spooled(texts: list[str]) -> Texts:
    with Spool() as spool:
        spool.extend(texts)
        return spool.texts()


@contextmanager
def room(what: str) -> Iterator[None]:
    """Raises ResourceError where a temporary file of `what` finds no room."""
    try:
        yield
    except BrokenPipeError:  # of whoever is told how far it is: a file has room or not
        raise
    except OSError as error:
        raise ResourceError(
            f"{tempfile.tempdir or 'TMPDIR'} must have room for {what} ({error.strerror})",
            hint="TMPDIR=FOLDER before the command names another",
        ) from None
