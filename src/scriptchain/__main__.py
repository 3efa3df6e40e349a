"""`scriptchain` and `python -m scriptchain`: runs a command and turns every error into one line and an exit code."""

import io
import os
import re
import signal
import sys

from .errors import ResourceError, ScriptChainError, UsageError
from .launched import leads, processes
from .report import shown

LIBRARIES = ("ACCELERATE_", "FORK_LAUNCHED", "HF_", "LOCAL_RANK", "MASTER_", "MKL_", "OMP_", "PYTORCH", "RANK",
             "TOKENIZERS_", "TORCH", "WORLD_SIZE")  # fmt: skip


class Terminated(BaseException):
    """SIGTERM arrived; unwinds like Ctrl-C, so that nothing half written stays behind."""


def main() -> None:
    """Never returns: ends the process with the exit code of the command."""
    signal.signal(signal.SIGTERM, _terminate)
    os.environ["MPLBACKEND"] = "agg"  # commands draw into files, whatever a notebook chose
    debug = "--debug" in sys.argv
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    try:
        _leave(run(arguments, debug))
    except BrokenPipeError:
        # The reader of a pipe went away (`| head`): nothing is wrong, and nobody is there to be told.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


def _leave(code: int) -> None:
    distributed = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        # A thread of the group that asks for the interpreter while that is taken down aborts the process: code -6.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def run(arguments: list[str], debug: bool = False) -> int:
    """One command; returns its exit code after saying what went wrong, if anything did."""
    from .cli.main import Aborted, UsageProblem, app

    try:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):  # the C locale must not stop a text in another script
                stream.reconfigure(encoding="utf-8", errors="backslashreplace")
        _refuse_several(arguments)
        code = app(arguments, standalone_mode=False, prog_name="scriptchain")
        if code == 130:  # the parser's own answer to Ctrl-C, and it says nothing
            raise KeyboardInterrupt
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except (BrokenPipeError, SystemExit):  # the second is the parser's own answer to a pipe that closed
        raise BrokenPipeError from None
    except UsageProblem as problem:
        return _say(" ".join(problem.format_message().split()).rstrip("."), 2, "scriptchain --help")
    except (KeyboardInterrupt, Aborted):
        return _say("stopped by SIGINT", 130)
    except Terminated:
        return _say("stopped by SIGTERM", 143)
    except Exception as error:
        if debug:
            raise
        if isinstance(error, ScriptChainError):
            told = leads() or isinstance(error, ResourceError)  # else all would say the same
            return _say(str(error), error.exit_code) if told else error.exit_code
        if isinstance(error, MemoryError):
            return _say("not enough memory", ResourceError.exit_code, "a smaller batch_size, or a file in parts")
        if isinstance(error, OSError):
            where = f"{error.filename}: " if error.filename else ""
            return _say(f"{where}{error.strerror or error}", ResourceError.exit_code)
        if name := _to_blame(str(error)):
            what = f"environment variable {name} must have a value that its library knows, got {os.environ[name]!r}"
            return _say(what, UsageError.exit_code, f"unset {name}")
        return _say(
            f"a bug in scriptchain: {type(error).__name__}: {error}", 1, "run it again with --debug and report it"
        )


def _refuse_several(arguments: list[str]) -> None:
    """Raises UsageError where a launcher has started several processes of what one is enough for."""
    command = next(iter(arguments), "")
    if processes() > 1 and command not in ("train", "distill"):
        raise UsageError(
            f"only train and distill may be several processes, got {processes()} of {shown(command)!r}",
            hint="without torchrun",
        )


def _to_blame(message: str) -> str | None:
    """The variable of a library's own whose value stands in what that library says; best if its name does, too."""
    found = [
        name
        for name, value in os.environ.items()
        if value and name.startswith(LIBRARIES) and re.search(rf"(?i)\b{re.escape(value)}\b", message)
    ]
    return max(found, key=lambda name: name in message, default=None)


def _terminate(*_: object) -> None:
    raise Terminated


def _say(message: str, code: int, hint: str | None = None) -> int:
    line = f"error: {message}" + (f"; hint: {hint}" if hint else "")
    print(" ".join(line.splitlines()), file=sys.stderr)  # noqa: T201 - the one place that talks about errors
    return code


if __name__ == "__main__":
    main()
