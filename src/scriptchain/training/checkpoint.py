"""Checkpoints of a run: one file each, whole or not there, its SHA-256 in its name, the newest good one wins."""

import errno
import hashlib
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from .. import durable
from ..errors import ModelError, ResourceError
from ..report import Stream
from ..runtime import tensors
from .state import State

FORMAT = 1
KEPT = 3
EVERY = 30.0  # seconds
SHARE = 0.01  # of the time at most is spent on saving between the first checkpoint and the last
_SUFFIX = ".safetensors"


class Checkpoints:
    """The checkpoints of one run in a folder of their own, which nobody else writes into.

    `job` is what a run that goes on must have in common with the one that stopped: a JSON document. Files are named
    by step and epoch, so that their times do not matter, and hold the best epoch's weights beside the last. `every`
    is in seconds; more time passes where saving is slow, and 0 saves after each step. What does not lead only reads.
    """

    def __init__(
        self, folder: Path, job: Mapping[str, Any], *, every: float = EVERY, stream: Stream | None = None,
        leads: bool = True,
    ):  # fmt: skip
        self.folder, self._every, self._stream, self._leads = folder, every, stream, leads
        self._job = json.loads(json.dumps({"format": FORMAT, **job}))  # as it will be read: tuples are lists there
        self._cost, self._last = 0.0, time.monotonic()
        self._good: int | None = None
        if leads:
            folder.mkdir(parents=True, exist_ok=True)
            durable.sweep(folder)

    @property
    def begun(self) -> bool:
        """Whether there is anything to go on from."""
        return bool(self._files())

    def due(self) -> bool:
        """Whether it is time for the next one."""
        if not self._leads:
            return False
        return time.monotonic() - self._last >= (max(self._every, self._cost / SHARE) if self._every else 0.0)

    def save(self, state: State) -> None:
        """Writes one, reads it again, and only then removes what is older than the last three.

        *Raises*: ResourceError for a disk that is full, broken or gone; the checkpoints before are as they were.
        """
        if not self._leads:
            return
        start = time.monotonic()
        here = {"threads": torch.get_num_threads(), "torch": torch.__version__}
        content = save(state.tensors(), {"job": json.dumps(self._job | here), "at": state.numbers().decode()})
        path = self.folder / f"{state.at.step:09d}-{state.at.epoch:05d}-{_digest(content)}{_SUFFIX}"
        try:
            durable.write(path, content)
            if _whole(path) is None:
                raise OSError(errno.EIO, "it does not read back as it was written")
            for old in self._files()[KEPT:]:
                old.unlink()
        except OSError as error:
            raise self._lost(error, len(content)) from None
        self._good = state.at.step
        self._last = time.monotonic()
        self._cost = self._last - start

    def restore(self, state: State) -> bool:
        """Puts the newest good checkpoint back into `state`; False where there is none.

        *Raises*: ModelError where all are damaged, or where the run is another one, naming what differs.
        """
        files = self._files()
        for path in files:
            content = _whole(path)
            if content is None:
                self._say(f"warning: the checkpoint {path} is damaged and is passed over")
                continue
            told = tensors.metadata(content, str(path))
            self._check(json.loads(told["job"]))
            parts = tensors.read(content, str(path))
            state.restore({name: torch.from_numpy(part.copy()) for name, part in parts.items()}, told["at"].encode())
            self._good = state.at.step
            return True
        if files:
            raise ModelError(
                f"{self.folder}: all {len(files)} checkpoints are damaged", hint="--force starts from the beginning"
            )
        return False

    def _check(self, then: dict[str, Any]) -> None:
        """A run goes on with what it began with; other threads or another torch only cost the last bits."""
        for key, now in _flat(self._job).items():
            before = _flat(then).get(key)
            if before != now:
                raise ModelError(
                    f"a run must go on with the {key} that it began with, got {_short(now)} for {_short(before)}",
                    hint="--force starts from the beginning",
                )
        here = {"threads": torch.get_num_threads(), "torch": torch.__version__}
        for key, now in here.items():
            if then.get(key) != now:
                self._say(
                    f"warning: {key} was {then.get(key)} and is {now}: the result will not be that of an unbroken run "
                    "to the last bit"
                )

    def _files(self) -> list[Path]:
        """Newest first, by the step and epoch in the name."""
        return sorted(self.folder.glob(f"*-*-*{_SUFFIX}"), key=lambda path: path.name, reverse=True)

    def _lost(self, error: OSError, size: int) -> ResourceError:
        last = "there is none before it" if self._good is None else f"the last good one is of step {self._good}"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return ResourceError(
                f"{self.folder}: the disk is full, a checkpoint needs {size / 2**20:.1f} MiB; {last}",
                hint="make room, then the same command with --resume",
            )
        if not self.folder.exists():
            return ResourceError(f"{self.folder} was deleted during the run, and with it all its checkpoints")
        return ResourceError(f"{self.folder}: a checkpoint cannot be saved ({error.strerror}); {last}")

    def _say(self, line: str) -> None:
        if self._stream is not None:
            self._stream.write(line + "\n")


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _whole(path: Path) -> bytes | None:
    """The file's bytes, if they are those that its name promises."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    return content if _digest(content) == path.stem.rpartition("-")[2] else None


def _flat(job: Mapping[str, Any]) -> dict[str, Any]:
    """The config's keys, then the others: another seed makes other rows, and is what should be named."""
    return {**job.get("config", {}), **{key: value for key, value in job.items() if key != "config"}}


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."
