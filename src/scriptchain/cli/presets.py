"""`scriptchain presets` lists the recipes; `presets copy NAME FILE` writes one to be changed."""

from pathlib import Path
from typing import Annotated

import typer

from .. import config as configs
from ..errors import UsageError
from ..report import Report, Table
from .options import Json, new_app, save, show

app = new_app()
SHOWN = ("model", "tokenizer", "max_seq_len", "d_model", "num_heads", "num_layers", "positions", "learning_rate",
         "epochs")  # fmt: skip


@app.callback(invoke_without_command=True)
def presets(context: typer.Context, json: Json = False) -> None:
    """List the presets with their main settings."""
    if context.invoked_subcommand is not None:
        return
    all_values = {name: configs.to_dict(configs.resolve(name)) for name in configs.preset_names()}
    rows = [
        [name, *(str(values[key]) if key == "model" or values["model"] == "encoder" else "" for key in SHOWN)]
        for name, values in all_values.items()
    ]
    body = [Table("presets", ["name", *SHOWN], rows, note="scriptchain presets copy NAME FILE.toml writes one out")]
    show(Report("recipes that `train --preset` takes", {"presets": all_values}, body), json)


@app.command()
def copy(
    name: Annotated[str, typer.Argument(help="A preset.")],
    file: Annotated[Path, typer.Argument(help="Where to write it.")],
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Write a preset as TOML, for `train --config`."""
    text = configs.preset_text(name)
    if file.exists() and not force:
        raise UsageError(f"the file must not exist yet, got {str(file)!r}", hint="--force replaces it")
    save(file, text.encode())
    typer.echo(f"{file} written; scriptchain train FILE --config {file}", err=True)
