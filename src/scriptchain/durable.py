"""Files that are whole or not there: written beside, flushed to the disk, and only then given their name.

The commit point is one rename. Whoever is killed before it has changed nothing, whoever is killed behind it has lost
nothing; what was written beside stays behind as `.NAME.*.tmp` and is swept by the next owner of the folder.
"""

import ctypes
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from .errors import ResourceError

TEMPORARY = ".tmp"


@contextmanager
def writing(path: Path) -> Iterator[BinaryIO]:
    """A binary file that takes the name `path`, over what stood there, when the block ends without an error.

    *Raises*: OSError; then `path` is as it was and nothing is left beside it.
    """
    name = path.with_name(f".{path.name}.{secrets.token_hex(4)}{TEMPORARY}")
    handle = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        with open(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.rename(name, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise
    flush(path.parent)


def write(path: Path, content: bytes) -> None:
    """The file `path` with that content. Raises OSError; then `path` is as it was."""
    with writing(path) as file:
        file.write(content)


def publish(folder: Path, path: Path) -> None:
    """Gives a folder its name, over what stood there: every file is on the disk before, and the swap is one step.

    *Raises*: OSError; then `path` is as it was.
    """
    for place, _, files in os.walk(folder):
        for file in files:
            flush(Path(place) / file)
        flush(Path(place))
    if not path.exists():
        os.rename(folder, path)
    elif not _exchange(folder, path):
        old = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=TEMPORARY, dir=path.parent))
        os.rename(path, old / path.name)
        os.rename(folder, path)
        folder = old
    flush(path.parent)
    shutil.rmtree(folder, ignore_errors=True)


def flush(path: Path) -> None:
    """What stands in a file, or the names that stand in a folder, on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sweep(folder: Path) -> None:
    """Removes what was being written when its writer was killed. Only for a folder that nobody else writes into."""
    for left in folder.glob(f".*{TEMPORARY}"):
        if left.is_dir():
            shutil.rmtree(left)
        else:
            left.unlink(missing_ok=True)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds the file `path` for this process alone; the system lets go of it when the process ends, however it ends.

    *Raises*: ResourceError naming the process that holds it; OSError where it cannot be made.
    """
    import fcntl

    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(handle, 20).decode(errors="replace").strip() or "another process"
            os.close(handle)
            raise ResourceError(
                f"{path.parent} must be free, got a folder in use by process {owner}",
                hint="wait for it, or choose another name",
            ) from None
        if path.exists() and os.path.samestat(os.fstat(handle), os.stat(path)):
            break
        os.close(handle)  # its owner removed it between the two steps
    try:
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(handle)


def _exchange(one: Path, other: Path) -> bool:
    """Swaps two names in one step, where the system can; the standard library has no name for it."""
    if sys.platform != "linux":
        return False
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    swap = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    return swap is not None and swap(here, os.fsencode(one), here, os.fsencode(other), exchange) == 0
