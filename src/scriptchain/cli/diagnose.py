"""`scriptchain diagnose TARGET`: what depth and length do to a stack; behind it lives torch."""

import difflib
import os
from pathlib import Path
from typing import Annotated

import typer

from .. import config as configs
from ..errors import MissingExtraError, ResourceError, UsageError
from .options import Encoding, Json, LabelColumn, OnBadRow, TextColumn, Threads, new_app, save, show

app = new_app()


@app.command()
def diagnose(
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET", help="A preset, a config file (.toml), a run folder or a Hugging Face encoder's folder."
        ),
    ],
    data: Annotated[
        str | None, typer.Option(metavar="FILE", help="Texts of its task, best with labels; else the bundled ones.")
    ] = None,
    texts: Annotated[int, typer.Option(min=32, help="How many of them are measured.")] = 256,
    depths: Annotated[
        str | None, typer.Option(metavar="3,6,12,24", help="Other numbers of layers to look at, freshly initialised.")
    ] = None,
    claim: Annotated[
        str | None,
        typer.Option(metavar="SENTENCE", help='A claim to judge: "memory grows exponentially with layers".'),
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="One config key; may be repeated.")
    ] = None,
    cure: Annotated[
        bool, typer.Option("--cure", help="Train remedies for what holds on --data, beside doing nothing.")
    ] = False,
    minutes: Annotated[
        float | None,
        typer.Option(min=0, help="Trains --depths on --data, or a cure, for about so long; epochs shrink to it."),
    ] = None,
    fail_on: Annotated[
        list[str] | None,
        typer.Option(metavar="VERDICT", help="Exit with 7 if that verdict holds; may be repeated."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE.html", help="Write the page there, and beside it the config that a cure found."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Every random choice follows from it.")] = 0,
    threads: Threads = None,
    text_column: TextColumn = None,
    label_column: LabelColumn = None,
    encoding: Encoding = "utf-8",
    on_bad_row: OnBadRow = "error",
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress on standard error.")] = False,
    json: Json = False,
) -> None:
    """Measure what depth does to a stack of layers, layer by layer, and say which diseases it has; or judge a claim."""
    try:
        from .. import diagnosis
        from ..lab.thresholds import THRESHOLDS
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"diagnose ({error.name})", "train") from None

    def progress(line: str) -> None:
        if not quiet:
            typer.echo(line, err=True)

    if threads is not None:
        import torch

        torch.set_num_threads(threads)
    for name in fail_on or []:
        if name not in THRESHOLDS:
            close = difflib.get_close_matches(name, THRESHOLDS, n=1, cutoff=0.4)
            hint = f"did you mean {close[0]!r}?" if close else f"the verdicts are {', '.join(THRESHOLDS)}"
            raise UsageError(f"--fail-on must name a verdict, got {name!r}", hint=hint)
    if output is not None:
        _check_output(output)
    rows = None
    if data is not None:
        from ..data.records import read

        rows = read(
            data, text_column=text_column, label_column=label_column, encoding=encoding, on_bad_row=on_bad_row,
            labels_required=False,
        )  # fmt: skip
    if claim is not None:
        report = diagnosis.judge_claim(
            claim, target, rows=rows, texts=texts, seed=seed, settings=settings or [], depths=_depths(depths),
            minutes=minutes, progress=progress,
        )  # fmt: skip
        show(report, json)
        return
    report = diagnosis.diagnose(
        target, rows=rows, depths=_depths(depths), texts=texts, seed=seed, settings=settings or [], cure=cure,
        minutes=minutes, progress=progress,
    )  # fmt: skip
    show(report, json)
    if output is None and not quiet and not json:
        progress("--output depth.html writes it as a page, with pictures")
    elif output is not None:
        from ..lab.page import render

        save(output, render(report.to_dict()).encode())
        won = (report.data.get("cure") or {}).get("winner")
        if won is not None:
            save(output.with_suffix(".toml"), configs.to_toml(configs.make(won)).encode())
    held = [name for name in fail_on or [] if report["verdicts"][name]["state"] == "HOLDS"]
    if held:
        typer.echo(f"holds: {', '.join(held)}", err=True)
        raise typer.Exit(7)


def _depths(text: str | None) -> list[int]:
    if text is None:
        return []
    numbers = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and 1 <= int(part) <= 1024 for part in numbers):
        raise UsageError(f"--depths must be numbers of layers, got {text!r}", hint="--depths 3,6,12,24")
    return [int(part) for part in numbers]


def _check_output(output: Path) -> None:
    """Before anything is measured, so that nothing measured is lost."""
    if output.is_dir() or not output.parent.is_dir() or not os.access(output.parent, os.W_OK):
        raise ResourceError(f"--output must be a file in a folder that can be written, got {str(output)!r}",
                            hint="--output depth.html")  # fmt: skip
