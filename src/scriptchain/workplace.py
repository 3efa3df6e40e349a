"""The folder of an unfinished run or climb: what stands in it, who owns it, and when it goes."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from . import durable
from .errors import ResourceError, UsageError

_LEFT = ("seed-*", "checkpoints-*", "trial-*", "teacher-*")


@contextmanager
def workplace(work: Path, resume: bool, force: bool) -> Iterator[None]:
    """The folder of an unfinished run, for this process alone. It goes when the run is complete, or left nothing."""
    missing = [folder for folder in work.parents if not folder.exists()]
    with ExitStack() as held:
        try:
            work.mkdir(parents=True, exist_ok=True)
            held.enter_context(durable.locked(work / "lock"))
        except OSError as error:
            if isinstance(error, ResourceError):
                raise
            raise ResourceError(f"{work.parent} must be a folder that can be written ({error.strerror})") from None
        if not (resume or force):
            refuse_unfinished(work)
        durable.sweep(work)
        if not resume:
            for left in (path for name in _LEFT for path in work.glob(name)):
                if left.is_dir():
                    shutil.rmtree(left)
                else:
                    left.unlink()
        try:
            yield
        except BaseException as error:
            if not is_worth_keeping(work):
                shutil.rmtree(work, ignore_errors=True)
                with suppress(OSError):
                    for folder in missing:
                        folder.rmdir()
            if isinstance(error, OSError) and not isinstance(error, ResourceError):
                raise ResourceError(f"{work} cannot be written ({error.strerror})") from None
            raise
        shutil.rmtree(work, ignore_errors=True)


def refuse_unfinished(work: Path) -> None:
    """Raises UsageError where an unfinished run stands."""
    if is_worth_keeping(work):
        raise UsageError(
            f"{work} must be free, got an unfinished run",
            hint="--resume goes on with it, --force starts from the beginning",
        )


def is_worth_keeping(work: Path) -> bool:
    """A seed that is trained, a training that is measured, or a step that is saved."""
    return any(work.glob("seed-*")) or any(work.glob("trial-*")) or has_steps(work)


def has_steps(work: Path) -> bool:
    """A finished run has none: with them it is a replacement of one that is unfinished."""
    return any(path.name.strip("0")[0] != "-" for path in work.glob("checkpoints-*/**/*-*-*"))
