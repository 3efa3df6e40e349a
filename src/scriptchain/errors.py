"""Every error that a user can meet, with the exit code of the command line.

    ScriptChainError                exit 1   our bug, if it is raised itself
    ├── UsageError (ValueError)     exit 2   wrong command or argument
    │   ├── ConfigError             exit 2   a config key, its value, or two that contradict each other
    │   └── MissingExtraError       exit 2   an optional part of the package is not installed
    ├── DataError (ValueError)      exit 3   rows, labels, files of texts (names file:line)
    ├── ModelError (ValueError)     exit 4   a run folder or a checkpoint
    │   └── NotFittedError          exit 4   `predict` before `fit`
    ├── ResourceError (OSError)     exit 5   disk, permission, memory
    ├── DivergedError               exit 6   the loss is no longer a number
    └── Interrupted                 exit 130 (SIGINT) or 143 (SIGTERM), after what was learned was saved

A message is one line: `<name> must <rule>, got <value>`, then `hint: <what to type>`.
"""


class ScriptChainError(Exception):
    """The root of the tree. `exit_code` is what the command line returns."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None):
        self.message = message
        self.hint = hint
        super().__init__(f"{message}; hint: {hint}" if hint else message)


class UsageError(ScriptChainError, ValueError):
    """A wrong command, option or argument."""

    exit_code = 2


class ConfigError(UsageError):
    """A config key that does not exist, a value out of range, or two values that contradict each other."""


class MissingExtraError(UsageError, ImportError):
    """An optional dependency is not installed."""

    def __init__(self, what: str, extra: str):
        super().__init__(f"{what} needs the [{extra}] extra", hint=f"pip install 'scriptchain[{extra}]'")


class DataError(ScriptChainError, ValueError):
    """Rows, labels or files of texts that cannot be used."""

    exit_code = 3


class ModelError(ScriptChainError, ValueError):
    """A run folder that is missing, incomplete, tampered with or of another format."""

    exit_code = 4


class NotFittedError(ModelError, AttributeError):
    """`predict` before `fit`. Also an AttributeError, as scikit-learn's error of that name is."""


class ResourceError(ScriptChainError, OSError):
    """Disk, permission or memory."""

    exit_code = 5


class DivergedError(ScriptChainError, ArithmeticError):
    """The loss or a gradient is no longer a finite number."""

    exit_code = 6


class Interrupted(ScriptChainError):  # noqa: N818 - it tells of a signal, not of a fault
    """SIGINT or SIGTERM arrived during training; raised after the checkpoint is on disk."""

    def __init__(self, message: str, *, exit_code: int, hint: str | None = None):
        super().__init__(message, hint=hint)
        self.exit_code = exit_code


def first_line(error: Exception) -> str:
    """What another library says of a fault, short enough for a message of ours."""
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
