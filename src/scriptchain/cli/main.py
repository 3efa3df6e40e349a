"""The commands and their one-line help; a command's module is imported only when it is the one that runs."""

from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from .._version import __version__

COMMANDS = {
    "check": "Look for duplicates, conflicts, leaks and other faults in a file of labelled texts.",
    "train": "Train a classifier, score it honestly and write a run folder.",
    "distill": "Train a small model on what a large one answers, with unlabelled texts where there are.",
    "evaluate": "Score a model on labelled texts, with intervals, baselines, leaks and order; or compare two.",
    "predict": "Label texts from arguments, a file or standard input.",
    "export": "Write what answers and nothing else, in floats or 8-bit numbers, proven on rows to answer as before.",
    "explain": "Show the words that an answer rests on, and check that they matter.",
    "serve": "Answer over HTTP: labels, explanations, health and metrics.",
    "push": "Send a model to Hugging Face's hub.",
    "pull": "Bring a model from Hugging Face's hub, its hashes checked.",
    "info": "Say what a run folder holds.",
    "diagnose": "Measure what depth does to a stack and say what ails it, or judge a claim about it.",
    "compare": "Say which encoding, depth or width suits your rows, with paired intervals and verdicts.",
    "presets": "List the presets, or copy one into a file.",
    "encodings": "List the positional encodings, or show one and draw what it does.",
}


# What the parser raises for a wrong option or argument: typer's own copy of it in newer versions, click's in older.
UsageProblem: Any = typer.BadParameter.__mro__[2]
Aborted = typer.Abort  # what older versions make of Ctrl-C


class LazyGroup(TyperGroup):
    """Knows every command's name and help without importing it."""

    context_class = typer.Context  # what the callbacks say that they take

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        return typer.main.get_command(import_module(f"scriptchain.cli.{cmd_name}").app)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


typed = typer.Typer(cls=LazyGroup, rich_markup_mode=None, add_completion=False)


def _show_version(value: bool) -> bool:
    if value:
        typer.echo(f"scriptchain {__version__}")
        raise typer.Exit
    return value


@typed.callback(invoke_without_command=True)
def scriptchain(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Train, understand and ship small transformer text classifiers.

    Data goes to standard output, everything else to standard error; --debug shows a traceback.
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


app: Any = typer.main.get_command(typed)
