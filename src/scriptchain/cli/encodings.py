"""`scriptchain encodings [NAME]`: what the positional encodings are, learn and do; behind it lives torch."""

import inspect
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .. import config as configs
from ..config import Config
from ..errors import MissingExtraError, UsageError
from ..report import Report, Table
from .options import Json, new_app, save, show

if TYPE_CHECKING:
    from ..positions import PositionalEncoding, Size

app = new_app()
PICTURES = (".pdf", ".png", ".svg")
STACK = ("d_model", "num_heads", "num_layers", "max_seq_len")
FACTS = {
    "acts": "acts", "learns": "learns", "parameters_in_stack": "parameters", "shift_invariant": "shift-invariant",
    "direction_aware": "direction-aware", "length_limit": "length limit", "encoder_form": "form", "source": "source",
}  # fmt: skip


@app.command()
def encodings(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="One encoding; without it, all.")] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw what NAME does, as .pdf, .png or .svg.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a picture that is there.")] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A config key, as `train` takes it: an option or a size."),
    ] = None,
    json: Json = False,
) -> None:
    """List the positional encodings with their facts, or show one with its options and draw what it does."""
    if name is None and (plot is not None or settings):
        raise UsageError("NAME must be given with --plot and --set, got none", hint="scriptchain encodings rope")
    if plot is not None and plot.suffix not in PICTURES:
        raise UsageError(f"--plot must end in {', '.join(PICTURES)}, got {str(plot)!r}", hint="--plot positions.png")
    if plot is not None and plot.exists() and not force:
        raise UsageError(f"--plot must not exist yet, got {str(plot)!r}", hint="--force replaces it")
    try:
        from .. import positions  # noqa: F401 - to say first what is missing
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"encodings ({error.name})", "train") from None
    if name is None:
        show(listed(), json)
        return
    page, encoding = described(name, settings or [])
    if plot is not None:
        _draw(encoding, name, plot)
    show(page, json)


def listed() -> Report:
    """Every encoding with its facts."""
    from .. import positions

    config = configs.resolve("small")
    kinds = {name: positions.load(name) for name in positions.names()}
    learned = {name: kind.num_parameters(_size(config)) for name, kind in kinds.items()}
    return _list({name: _facts(kinds[name], learned[name], config) for name in kinds}, config)


def described(name: str, settings: Sequence[str]) -> tuple[Report, "PositionalEncoding"]:
    """An encoding's page, which the docs show too, and the encoding itself, built as these settings say."""
    from .. import positions
    from ..training.seed import seeded

    kind = positions.load(name)
    config = configs.resolve("small", settings=[f"positions={name}", "positions_options={}", *settings])
    if config.positions != name:
        raise UsageError(f"positions must be chosen by NAME, got --set positions={config.positions}",
                         hint=f"scriptchain encodings {config.positions}")  # fmt: skip
    with seeded(config.seed):
        encoding = positions.build(name, _size(config), config.positions_options)
    learned = sum(parameter.numel() for parameter in encoding.parameters())
    return _page(name, kind, _facts(kind, learned, config), config), encoding


def _size(config: Config) -> "Size":
    from ..positions import Size

    return Size(**_stack(config), embedding_std=config.embedding_std)


def _facts(kind: type["PositionalEncoding"], parameters: int, config: Config) -> dict[str, Any]:
    """The class facts; `parameters` are those of one instance."""
    instances = config.num_layers if kind.every_layer and not config.positions_shared else 1
    return {
        "acts": kind.acts, "every_layer": kind.every_layer, "learns": kind.learns, "parameters": parameters,
        "parameters_in_stack": instances * parameters, "shift_invariant": kind.shift_invariant,
        "direction_aware": kind.direction_aware, "length_limit": kind.length_limit,
        "encoder_form": kind.encoder_form, "source": kind.source,
    }  # fmt: skip


def _list(facts: dict[str, dict[str, Any]], config: Config) -> Report:
    rows = [[name, *(_word(one[key]) for key in FACTS)] for name, one in facts.items()]
    note = "`scriptchain encodings NAME` shows one, --plot FILE draws it, `train --set positions=NAME` takes it"
    table = Table("encodings", ["name", *FACTS.values()], rows, note)
    return Report("positional encodings", {"stack": _stack(config), "encodings": facts}, [table, _counted(config)])


def _page(name: str, kind: type["PositionalEncoding"], facts: dict[str, Any], config: Config) -> Report:
    description = inspect.getdoc(kind) or ""
    defaults = {key: option.default for key, option in inspect.signature(kind).parameters.items() if key != "size"}
    options = {key: {"default": value, "value": config.positions_options.get(key, value)}
               for key, value in defaults.items()}  # fmt: skip
    rows = [[key, *map(_typed, both.values())] for key, both in options.items()]
    body = [
        inspect.getdoc(sys.modules[kind.__module__]) or "",  # the formula
        description,
        Table("facts", ["fact", "value"], [[FACTS[key], _word(facts[key])] for key in FACTS]),
        _counted(config),
        Table("options", ["option", "default", "here"], rows, note="--set positions_options.OPTION=VALUE")
        if options else "no options",
    ]  # fmt: skip
    data = {"name": name, "stack": _stack(config), **facts, "options": options, "description": description}
    return Report(name, data, body)


def _stack(config: Config) -> dict[str, int]:
    return {key: getattr(config, key) for key in STACK}


def _counted(config: Config) -> str:
    sizes = ", ".join(f"{key} {value}" for key, value in _stack(config).items())
    return f"parameters: in a whole stack of {sizes}"


def _word(value: Any) -> Any:
    return ("yes" if value else "no") if isinstance(value, bool) else value


def _typed(value: Any) -> str | None:
    """An option's value as `--set` takes it."""
    return None if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _draw(encoding: "PositionalEncoding", name: str, file: Path) -> None:
    try:
        from ..export.encodings import picture
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"--plot ({error.name})", "train") from None
    save(file, picture(encoding, name, file.suffix[1:]))
    typer.echo(f"{file} written", err=True)
