"""Gives back memory that the C library keeps for later: freed pieces between others, hundreds of megabytes of them."""

import ctypes
import os
import time

EVERY = 1.0  # seconds; a call takes some milliseconds


def give_back() -> None:
    """By glibc's `malloc_trim`; other C libraries have none, and nothing happens."""
    if os.name == "posix" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):
        trim(0)


class Heap:
    """Gives back from time to time."""

    def __init__(self) -> None:
        self._last = time.perf_counter()

    def tend(self) -> None:
        """To be called often."""
        now = time.perf_counter()
        if now - self._last > EVERY:
            give_back()
            self._last = now
