"""`scriptchain explain MODEL TEXT ...`: the words that an answer rests on."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import MissingExtraError, UsageError
from .options import Encoding, Json, OnBadRow, TextColumn, Threads, new_app, save

if TYPE_CHECKING:
    from ..runtime.explain import Explanation

app = new_app()
WIDTH = 24  # of the longest bar
FOR, AGAINST = "34", "33"  # blue and yellow, which most eyes tell apart


@app.command()
def explain(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A run folder.")],
    texts: Annotated[list[str] | None, typer.Argument(metavar="[TEXT]...", help="Texts; or --file.")] = None,
    file: Annotated[
        str | None, typer.Option(metavar="FILE", help="CSV, TSV, JSON Lines, or one text a line; - is standard input.")
    ] = None,
    label: Annotated[str | None, typer.Option(help="Why this class or why not; by default the model's answer.")] = None,
    method: Annotated[
        str, typer.Option(help="occlusion, which leaves words out, or gradients, integrated, of a run folder.")
    ] = "occlusion",
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page with the words in color.")] = None,
    text_column: TextColumn = None,
    encoding: Encoding = "utf-8",
    on_bad_row: OnBadRow = "error",
    threads: Threads = None,
    json: Json = False,
) -> None:
    """The words that an answer rests on: what each adds to its log-odds, and a check that they matter."""
    from ..data.records import from_python, read
    from ..report import Report
    from ..runtime.explain import check_method
    from ..runtime.explain import explain as explained
    from ..runtime.session import Session

    if bool(texts) == (file is not None):
        raise UsageError(f"texts must come as arguments or from --file, got {'both' if texts else 'neither'}",
                         hint=f"scriptchain explain {model} 'a text'")  # fmt: skip
    gradients = check_method(method) == "gradients"
    session = Session(model, threads=threads)
    weigh = None
    if gradients:
        try:
            from ..model.gradients import by_gradients_of
        except ModuleNotFoundError as error:
            raise MissingExtraError(f"--method gradients ({error.name})", "train") from None
        weigh = by_gradients_of(session.bundle)
    records = (
        from_python(texts, labels_required=False)
        if texts
        else read(file, labels_required=False, text_column=text_column, encoding=encoding, on_bad_row=on_bad_row,
                  plain=True)
    )  # fmt: skip
    found = [explained(session.logits, session.labels, text, label, weigh) for text in records.texts]
    data = {"model": model, "explanations": [one.to_dict() for one in found]}
    if html is not None:
        try:
            from ..export.page import explanations
        except ModuleNotFoundError as error:
            raise MissingExtraError(f"--html ({error.name})", "train") from None
        save(html, explanations(f"What {model} rests on", found).encode("utf-8", "backslashreplace"))
    if json:
        typer.echo(Report(model, data).to_json())
    else:
        color = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        sys.stdout.write("\n".join("".join(f"{line}\n" for line in _lines(one, color)) for one in found))


def _lines(one: "Explanation", color: bool) -> list[str]:
    from ..report import percent, shown

    measured = [(word, word.weight) for word in one.words if word.weight is not None]
    most = max((abs(weight) for _, weight in measured), default=0.0) or 1.0
    lines = [f"{shown(one.label, 40)}  {percent(one.score)}  {shown(one.text, 100)}"]
    wide = max((len(shown(word.word, 20)) for word, _ in measured), default=0)
    for word, weight in measured:
        bar = ("█" if weight > 0 else "▒") * round(WIDTH * abs(weight) / most)
        painted = f"\x1b[{FOR if weight > 0 else AGAINST}m{bar}\x1b[0m" if color and bar else bar
        lines.append(f"  {shown(word.word, 20):{wide}}  {weight:+7.2f}  {painted}".rstrip())
    if len(measured) < len(one.words):
        lines.append(f"  {len(one.words) - len(measured):,} words further on were not measured")
    return [*lines, *([f"  {one.check}"] if one.check else [])]
