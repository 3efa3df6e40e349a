"""The runs, a JSON line each, in the order in which they ended: analysis reads them and trains nothing.

A line is on the disk before the next run is told of, so that a kill costs what was under way and no more.
"""

import os
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError, ResourceError


class Run(msgspec.Struct, frozen=True):
    """One training of a candidate, whose `config` has its seed. `right` has a bit a scored row, in hexadecimal, and
    `lengths` its words (a bit a hidden word, where these are scored, and the words of its text); `memory_mb` is what
    training needs at most, in closed form; `arm` and `data` are digests of the config and of the rows."""

    arm: str
    name: str
    config: dict[str, Any]
    repeat: int
    fold: int
    seed: int
    data: str
    accuracy: float
    right: str
    lengths: list[int]
    parameters: int
    memory_mb: float
    step_ms: float
    seconds: float
    diverged: bool = False
    macro_f1: float | None = None
    loss: float | None = None

    @property
    def score(self) -> float:
        """Above is better: macro-F1, or the loss of hidden words below 0."""
        return -self.loss if self.loss is not None else self.macro_f1 or 0.0

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Which of what was scored was right, in the order of `lengths`."""
        bits = np.frombuffer(bytes.fromhex(self.right), np.uint8)
        return np.unpackbits(bits)[: len(self.lengths)].astype(bool)

    @property
    def said(self) -> str:
        return f"macro-F1 {100 * self.score:.1f} %" if self.loss is None else f"loss {self.loss:.3f}"


class Pool:
    """The file `runs.jsonl` of a folder. Raises ModelError where it holds runs of other rows."""

    def __init__(self, folder: Path, data: str):
        self.file = folder / "runs.jsonl"
        self.runs: list[Run] = []
        if not self.file.exists():
            return
        for line in self.file.read_bytes().splitlines():
            try:
                run = msgspec.json.decode(line, type=Run)
            except msgspec.MsgspecError:
                continue  # what was being written when its writer was killed: it is done again
            if run.data != data:
                raise ModelError(f"{self.file} must hold runs of these rows, folds and seed, got others",
                                 hint="--force starts from the beginning")  # fmt: skip
            self.runs.append(run)

    def add(self, run: Run) -> None:
        """Raises ResourceError where the disk is full or gone."""
        try:
            with self.file.open("ab") as file:
                if file.tell() and not self._whole():
                    file.write(b"\n")
                file.write(msgspec.json.encode(run) + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise ResourceError(f"{self.file} cannot be written ({error.strerror})") from None
        self.runs.append(run)

    def of(self, arm: str) -> dict[tuple[int, int], Run]:
        """An arm's runs by their unit."""
        return {(run.repeat, run.fold): run for run in self.runs if run.arm == arm}

    def _whole(self) -> bool:
        with self.file.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) == b"\n"
