"""`scriptchain diagnose TARGET`: what depth and length do to a stack; behind it lives torch."""

from pathlib import Path
from typing import Annotated

import typer

from .. import config as configs
from ..config import Config
from ..errors import MissingExtraError
from ..runtime.bundle import Bundle
from .options import Json, new_app, show

app = new_app()


@app.command()
def diagnose(
    target: Annotated[str, typer.Argument(metavar="TARGET", help="A preset, a config file (.toml) or a run folder.")],
    claim: Annotated[
        str | None,
        typer.Option(metavar="SENTENCE", help='A claim to judge: "memory grows exponentially with layers".'),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress on standard error.")] = False,
    json: Json = False,
) -> None:
    """Say by which law a stack's parameters, operations, memory and time grow with depth and length."""
    config = _config(target)
    try:
        from .. import lab
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"diagnose ({error.name})", "train") from None

    def progress(line: str) -> None:
        if not quiet:
            typer.echo(line, err=True)

    if claim is not None:
        show(lab.judge(lab.Claim.parse(claim), config, progress=progress), json)
    else:
        show(lab.costs(config, target, progress=progress), json)


def _config(target: str) -> Config:
    path = Path(target)
    if path.is_dir():
        return Bundle(path).config
    if path.suffix == ".toml":
        return configs.resolve(None, path)
    return configs.resolve(target)
