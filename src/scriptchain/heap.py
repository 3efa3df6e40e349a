"""Gives back memory that the C library keeps for later: freed pieces between others, hundreds of megabytes of them."""

import ctypes
import os
from contextlib import suppress
from pathlib import Path

SPARE = 64 * 2**20  # bytes
STEPS = 8  # a call takes some milliseconds, and what it gave back is fetched again


def give_back() -> None:
    """By glibc's `malloc_trim`; other C libraries have none, and nothing happens."""
    if os.name == "posix" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):
        trim(0)


def held() -> int:
    """Bytes of memory that are the process's own; 0 where no system says so."""
    with suppress(OSError):
        _, resident, shared, *_ = Path("/proc/self/statm").read_text("ascii").split()
        return (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE")
    return 0


class Heap:
    """Gives back when the process has grown by `SPARE` since the first `STEPS` behind the last time."""

    def __init__(self) -> None:
        self._most, self._steps = 0, 0

    def tend(self) -> None:
        """To be called behind every step."""
        now = held()
        if self._steps < STEPS:
            self._most, self._steps = max(self._most, now), self._steps + 1
        elif now > self._most + SPARE:
            give_back()
            self._most, self._steps = 0, 0
