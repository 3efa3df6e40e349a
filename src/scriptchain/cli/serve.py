"""`scriptchain serve MODEL`: the model behind HTTP."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from ..errors import MissingExtraError, ResourceError, UsageError
from .options import Quiet, Threads, new_app

app = new_app()


@app.command()
def serve(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A run folder or an export.")],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes any that is free.")] = 8000,
    key_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A key a line; whoever asks must bring one. Or SCRIPTCHAIN_API_KEY."),
    ] = None,
    allow_host: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A name that it may be asked by; may be repeated.")
    ] = None,
    insecure: Annotated[bool, typer.Option("--insecure", help="Listen to others without a key.")] = False,
    limit: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="What a request may cost; see /v1/limits.")
    ] = None,
    threads: Threads = 1,
    quiet: Quiet = False,
) -> None:
    """Answer over HTTP until it is told to stop. SIGHUP loads the model anew; /docs says what may be asked."""
    try:
        from ..server.limits import limits_from
        from ..server.serve import serve as run
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"serving ({error.name})", "serve") from None
    run(
        model, host=host, port=port, keys=_keys(key_file), hosts=allow_host or [], insecure=insecure, threads=threads,
        limits=limits_from(limit or []), stream=None if quiet else sys.stderr,
    )  # fmt: skip


def _keys(file: Path | None) -> list[str]:
    """Those of the file, or the one of the environment."""
    if file is None:
        key = os.environ.get("SCRIPTCHAIN_API_KEY", "")
        return [key] if key else []
    try:
        keys = [line.strip() for line in file.read_text("utf-8").splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise ResourceError(f"{file} cannot be read ({getattr(error, 'strerror', None) or 'no UTF-8'})") from None
    if not keys or min(map(len, keys)) < 16 or not all(key.isascii() and key.isprintable() for key in keys):
        raise UsageError("--key-file must hold a key of 16 or more plain characters a line",
                         hint="head -c 24 /dev/urandom | base64 > keys")  # fmt: skip
    return keys
