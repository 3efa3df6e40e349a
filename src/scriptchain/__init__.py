"""Small transformer text classifiers with learnable positional encodings: train, understand, ship."""

from typing import TYPE_CHECKING, Any

from ._version import __version__

if TYPE_CHECKING:
    from .classifier import Classifier
    from .errors import (
        ConfigError,
        DataError,
        DivergedError,
        MissingExtraError,
        ModelError,
        NotFittedError,
        ResourceError,
        ScriptChainError,
        UsageError,
    )

__all__ = [
    "Classifier",
    "ConfigError",
    "DataError",
    "DivergedError",
    "MissingExtraError",
    "ModelError",
    "NotFittedError",
    "ResourceError",
    "ScriptChainError",
    "UsageError",
    "__version__",
]


def __getattr__(name: str) -> Any:
    # Names arrive on first use, so that `import scriptchain` and the command line's help stay fast.
    if name not in __all__:
        raise AttributeError(f"module 'scriptchain' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(".classifier" if name == "Classifier" else ".errors", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
