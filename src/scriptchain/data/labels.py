"""The names of the classes and their order, which is the order of a model's outputs."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import DataError, ModelError
from ..report import shown

_SHOWN = 5


@dataclass(frozen=True)
class Labels:
    """Distinct names of classes; the place of a name is the index of its class."""

    names: tuple[str, ...]

    @classmethod
    def from_names(cls, names: Iterable[str]) -> "Labels":
        """The distinct names in the order of their characters, whatever order they come in."""
        return cls(tuple(sorted(set(names))))

    @classmethod
    def from_names_in_order(cls, names: Any) -> "Labels":
        """The list that `to_json` wrote, parsed; its order is that of the classes.

        Raises: ModelError (exit 4) unless it is a list of distinct strings that are not empty.
        """
        listed = isinstance(names, list) and names and all(isinstance(name, str) and name.strip() for name in names)
        if not listed or len(set(names)) < len(names):
            raise ModelError("labels.json must be a JSON list of distinct, not empty strings")
        return cls(tuple(names))

    def to_json(self) -> bytes:
        """The names as a JSON list in UTF-8."""
        return json.dumps(self.names, ensure_ascii=False, indent=0).encode() + b"\n"

    def index(self, names: Iterable[str]) -> np.ndarray:
        """The index of the class of each name, int64.

        Raises: DataError (exit 3) that lists the names that are not among the classes, with their counts.
        """
        place = {name: index for index, name in enumerate(self.names)}
        names = list(names)
        try:
            return np.array([place[name] for name in names], dtype=np.int64)
        except KeyError:
            raise _unknown(Counter(name for name in names if name not in place), len(place)) from None

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)


def _unknown(counts: Counter[str], known: int) -> DataError:
    most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_SHOWN]
    listed = ", ".join(f"{shown(name, 40)!r} ({count} row{'s' * (count > 1)})" for name, count in most)
    more = f" and {len(counts) - _SHOWN} more" if len(counts) > _SHOWN else ""
    return DataError(
        f"labels must be among the {known} classes of the model, got {listed}{more}",
        hint="train on these labels too, or correct the file",
    )
