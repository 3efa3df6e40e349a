"""Everything that answers for a finished model: numpy, onnxruntime and tokenizers, never torch."""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .session import Session


def load(folder: str | os.PathLike[str], *, threads: int | None = None) -> "Session":
    """A run folder or an export, to be called with texts: `load("runs/mine")("a text")["label"]`.

    *Raises*: ModelError for a folder that is not one of ours or was changed since it was written.
    """
    from .session import Session

    return Session(folder, threads=threads)
