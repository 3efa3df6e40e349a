"""`scriptchain pull hf:OWNER/NAME`: a model from the hub."""

from pathlib import Path
from typing import Annotated

import typer

from .options import Force, HubName, new_app

app = new_app()


@app.command()
def pull(
    name: HubName,
    output: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The folder; by default the last part of the name.")
    ] = None,
    force: Force = False,
) -> None:
    """Bring a model from Hugging Face's hub; it takes its name when every hash is right and it answers."""
    from ..runtime.bundle import check_output
    from ..runtime.hub import pull as bring

    place = output or Path(name.partition("@")[0].rpartition("/")[2] or name)
    check_output(place, force)
    bring(name, place)
    typer.echo(str(place))
