"""The model that is served: a loaded run folder and the name that every answer bears."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from .. import config as configs
from ..runtime.attention_maps import AttentionMaps, Watched
from ..runtime.session import Session

CARD = 2**20  # bytes


@dataclass(frozen=True, eq=False)
class Model:
    """`id` is a hash of the manifest: what answered can be told from what is there now."""

    folder: Path
    id: str
    session: Session
    card: str | None = None

    @classmethod
    def load(cls, folder: Path, threads: int | None) -> "Model":
        """Raises ModelError as `Session`. It has answered once when it is there: the first user does not wait."""
        session = Session(folder, threads=threads)
        session.logits(["a text"])
        return cls(folder, session.bundle.id, session, _card(folder))

    def attention(self, text: str) -> AttentionMaps:
        """Raises UsageError for a linear model. Who is first waits for a second copy of the graph."""
        return self._watched(text)

    @cached_property
    def _watched(self) -> Watched:
        return Watched.of(self.session)

    def facts(self) -> dict[str, Any]:
        return {
            "model": self.id,
            "name": self.folder.name,
            "scriptchain": self.session.bundle.manifest.scriptchain,
            "classes": list(self.session.labels.names),
            "parameters": self.session.bundle.num_parameters,
            "config": configs.to_dict(self.session.config),
        }


def _card(folder: Path) -> str | None:
    try:
        with (folder / "README.md").open("rb") as file:
            return file.read(CARD).decode("utf-8", "replace")
    except OSError:
        return None
