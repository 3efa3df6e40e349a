"""Encodings by name: the folder's files, and the entry-point group `scriptchain.positions` for other packages."""

import difflib
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from importlib import import_module, metadata, resources
from typing import Any

from ..errors import ConfigError
from ._compose import Composed
from ._containers import Container, PerLayer, Together, in_stack
from ._protocol import PositionalEncoding, Size

# Published for causal models only: what they add cannot look to both sides.
CAUSAL = {"xpos": "rope", "path": "forgetting"}


def names() -> list[str]:
    """File stems of this folder; the same word is the CLI value and the config key."""
    files = (file.name for file in resources.files("scriptchain.positions").iterdir())
    ours = [name.removesuffix(".py") for name in files if name.endswith(".py") and not name.startswith("_")]
    return sorted({*ours, *(point.name for point in metadata.entry_points(group="scriptchain.positions"))})


def load(name: str) -> type[PositionalEncoding]:
    """The class behind a name. Raises ConfigError naming the nearest encoding."""
    if name in CAUSAL:
        raise ConfigError(f"positions must look to both sides, got {name!r}, which a causal model alone can use",
                          hint=f"positions={CAUSAL[name]}")  # fmt: skip
    if name not in names():
        close = difflib.get_close_matches(name, names(), n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"the encodings are {', '.join(names())}"
        raise ConfigError(f"positions must be a known encoding, got {name!r}", hint=hint)
    for point in metadata.entry_points(group="scriptchain.positions"):
        if point.name == name:
            return point.load()
    module = import_module(f"scriptchain.positions.{name}")
    return next(
        member
        for member in vars(module).values()
        if inspect.isclass(member) and issubclass(member, PositionalEncoding) and member.__module__ == module.__name__
    )


def build(name: str, size: Size, options: Mapping[str, Any]) -> PositionalEncoding:
    """An encoding by its name, or several by `a+b`, whose options are tables of their own: `{"a": {...}}`.

    *Raises*: ConfigError for an option that it does not have.
    """
    parts = name.split("+")
    if len(parts) == 1:
        return _build_one(name, size, options)
    made: list[PositionalEncoding] = []
    for part, own in _options_of(parts, options):
        made.append(_build_one(part, size, own))
        size = _after(made[-1], size)
    return Composed(*made)


def stack(name: str, size: Size, options: Mapping[str, Any], *, shared: bool = False) -> Container:
    """Encodings for all layers of a stack, each in its usual place; `a/b` repeats a and b down the stack.

    `shared` gives all layers one set of parameters. Raises ConfigError as `build` does.
    """
    if "/" in name:
        pattern = _options_of(name.split("/"), options)
        return PerLayer([partial(build, part, size, own) for part, own in pattern], size.num_layers, shared=shared)
    parts = name.split("+")
    if len(parts) == 1:
        return in_stack(partial(build, name, size, options), shared=shared)
    containers: list[Container] = []
    for part, own in _options_of(parts, options):
        containers.append(in_stack(partial(build, part, size, own), shared=shared))
        size = _after(containers[-1][0], size)
    return Together(containers, size.num_layers)


def num_parameters(name: str, size: Size, options: Mapping[str, Any], *, shared: bool = False) -> int:
    """Learned numbers of a `stack`, of which nothing but policies is built.

    Exact where each class counts by the options that it is given. Raises ConfigError for options that are not there or
    of another type.
    """
    entries = name.split("/")
    pattern = _options_of(entries, options) if len(entries) > 1 else [(name, options)]
    total = 0
    for number, (entry, own) in enumerate(pattern):
        parts = _options_of(entry.split("+"), own) if "+" in entry else [(entry, own)]
        reached = size
        for part, given in parts:
            kind = load(part)
            counted = inspect.signature(kind.num_parameters).parameters
            places = range(number, size.num_layers, len(pattern)) if len(pattern) > 1 or kind.every_layer else [0]
            known = {key: value for key, value in _checked(part, given).items() if key in counted}
            total += (1 if shared else len(places)) * kind.num_parameters(reached, **known)
            if kind.coordinates is not PositionalEncoding.coordinates:
                reached = _after(_build_one(part, reached, given), reached)
    return total


def _options_of(parts: Sequence[str], options: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    for key, value in options.items():
        if key not in parts or not isinstance(value, Mapping):
            raise ConfigError(
                f"positions_options must be a table for each of {', '.join(parts)}, got {key} = {value!r}",
                hint=f"positions_options.{parts[0]}.OPTION=VALUE",
            )
    return [(part, options.get(part, {})) for part in parts]


def _after(encoding: PositionalEncoding, size: Size) -> Size:
    """The size that what comes behind a policy must be built for: coordinates may reach farther than texts."""
    return replace(size, max_seq_len=encoding.coordinates(size.max_seq_len) or size.max_seq_len)


def _build_one(name: str, size: Size, options: Mapping[str, Any]) -> PositionalEncoding:
    return load(name)(size, **_checked(name, options))


def _checked(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options, each known and of its type."""
    parameters = inspect.signature(load(name), eval_str=True).parameters
    known = [key for key in parameters if key != "size"]
    values = dict(options)
    for key, value in options.items():
        if key not in known:
            has = f"its options are {', '.join(known)}" if known else "it has no options"
            raise ConfigError(f"positions_options must be options of {name!r}, got {key!r}", hint=has)
        kind = parameters[key].annotation
        if not _fits(value, kind):
            raise ConfigError(f"positions_options.{key} must be {_named(kind)}, got {value!r}")
        if kind is float:
            values[key] = float(value)
    return values


def _fits(value: Any, kind: Any) -> bool:
    kinds = getattr(kind, "__args__", (kind,))
    if isinstance(value, bool):
        return bool in kinds
    return isinstance(value, tuple(kinds)) or (isinstance(value, int) and float in kinds)


def _named(kind: Any) -> str:
    words = {float: "a number", int: "an integer", str: "text", bool: "true or false", type(None): "nothing"}
    return " or ".join(words.get(part, str(part)) for part in getattr(kind, "__args__", (kind,)))


def table() -> str:
    """All encodings with their class facts, as a Markdown table: what the README and the docs show."""
    lines = [
        "| name | acts | learns | shift-invariant | direction-aware | length limit | form | source |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in names():
        facts = load(name)
        row = [
            f"`{name}`", facts.acts, facts.learns, "yes" if facts.shift_invariant else "no",
            "yes" if facts.direction_aware else "no", facts.length_limit, facts.encoder_form, facts.source,
        ]  # fmt: skip
        lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines)
