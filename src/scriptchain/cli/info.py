"""`scriptchain info MODEL`: what a run folder holds, without loading the weights."""

from typing import Annotated

import typer

from .options import Json, new_app, show

app = new_app()


@app.command()
def info(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A run folder.")],
    json: Json = False,
) -> None:
    """Classes, config, sizes, and the figures that training measured."""
    from pathlib import Path

    from ..runtime.describe import describe

    show(describe(Path(model)), json)
