"""`scriptchain push MODEL hf:OWNER/NAME`: a model to the hub."""

from pathlib import Path
from typing import Annotated

import typer

from .options import HubName, new_app

app = new_app()


@app.command()
def push(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A run folder, or an export.")],
    name: HubName,
    private: Annotated[bool, typer.Option("--private", help="Where it is new there, for its owner alone.")] = False,
) -> None:
    """Send a model to Hugging Face's hub, its hashes checked before."""
    from ..runtime.hub import push as send

    typer.echo(f"{name}@{send(model, name, private=private)}")
