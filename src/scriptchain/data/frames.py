"""Tables, lists and single values in memory, known by what they can do: no table library is imported."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..errors import UsageError

_TABLES = "a pandas or polars DataFrame, a datasets.Dataset, a list of dicts or a dict of lists"


def is_table(source: Any) -> bool:
    """Whether it has columns, as against one list of values."""
    first = source[0] if isinstance(source, list) and source else None
    return isinstance(source, Mapping) or isinstance(first, Mapping) or _has_columns(source)


def _has_columns(source: Any) -> bool:
    return any(hasattr(type(source), name) for name in ("columns", "column_names"))


def frame_columns(frame: Any) -> list[Any]:
    """The names of its columns.

    Raises: UsageError (exit 2) for what is no table in memory.
    """
    if hasattr(frame, "collect"):  # a lazy frame of polars
        raise UsageError(f"data must be in memory, got {type(frame).__name__}", hint="call its collect() first")
    names = getattr(frame, "column_names", None)
    if isinstance(names, Mapping):
        raise UsageError(f"data must be one split, got {type(frame).__name__}", hint='choose one, as in data["train"]')
    if names is None:
        names = frame if isinstance(frame, Mapping) else getattr(frame, "columns", None)
    if names is None and isinstance(frame, Sequence) and frame and isinstance(frame[0], Mapping):
        names = frame[0]
    if names is None:
        raise UsageError(f"data must be a table, got {type(frame).__name__}", hint=_TABLES)
    return list(names)


def frame_column(frame: Any, name: Any) -> Any:
    """The values of one column."""
    if isinstance(frame, Sequence):
        return [row.get(name) if isinstance(row, Mapping) else None for row in frame]
    return frame[name]


def class_names(frame: Any, label: str, values: Any) -> Any:
    """The labels of a `datasets.Dataset` as names: it keeps numbers, and -1 where there is none."""
    features = getattr(frame, "features", None)
    names = getattr(features.get(label), "names", None) if isinstance(features, Mapping) else None
    if not isinstance(names, list):
        return values
    return [None if value is None or not 0 <= value < len(names) else names[value] for value in values]


def as_list(values: Any, name: str) -> list[Any]:
    """The values of a list, tuple, array or series.

    Raises: UsageError (exit 2) for anything else.
    """
    if isinstance(values, (str, bytes, Mapping)) or _has_columns(values) or not isinstance(values, Iterable):
        hint = "a list, a tuple, an array or a series; a table goes to from_frame"
        raise UsageError(f"{name} must be a list, got {type(values).__name__}", hint=hint)
    for method in ("to_list", "to_pylist", "tolist"):
        if hasattr(values, method):
            values = getattr(values, method)()
            break
    else:
        values = list(values)
    if not isinstance(values, list):  # an array without a dimension
        raise UsageError(f"{name} must be a list, got a single {type(values).__name__}")
    return values


def label_name(label: Any) -> Any:
    """A label as text, never rounded or merged: 1 is `1`, 1.0 is `1.0`, True is `true`; None if it is missing."""
    if type(label).__module__ == "numpy" and hasattr(label, "item"):
        label = label.item()
    if is_missing(label):
        return None
    if isinstance(label, bool):
        return str(label).lower()
    if isinstance(label, float) and math.isfinite(label):
        return repr(label)
    return str(label) if isinstance(label, (str, int)) else label


def is_missing(value: Any) -> bool:
    """Whether it is one of the many ways to say that there is no value."""
    if isinstance(value, float):
        return math.isnan(value)
    return value is None or type(value).__name__ in ("NAType", "NaTType")  # pandas.NA and pandas.NaT
