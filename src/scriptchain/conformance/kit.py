"""All laws over one module: `check(module)`, a report with a row a law."""

from collections.abc import Callable, Iterable
from typing import cast

from torch import nn

from ..errors import UsageError
from ..positions import PositionalEncoding, Size
from ..report import Report, Table
from .adapter import Adapter, NotAsked
from .inputs import SIZE
from .laws import LAWS
from .subject import Claims, Module, Subject, claimed


class Verdict(Report):
    """`data` holds `module`, `holds` (names of laws), `fails` and `not_asked` (by name, why)."""

    @property
    def ok(self) -> bool:
        """No law failed, and at least one was asked."""
        return bool(self["holds"]) and not self["fails"]


def check(subject: object, claims: Claims | None = None, *, laws: Iterable[str] | None = None) -> Verdict:
    """Every law, or those named, over a positional encoding, an adapter, or a function of a `Size` that builds either.

    An encoding's class is such a function. What is given built is asked as it is, in evaluation mode, and not about
    other sizes; what is built gets perturbed parameters. Claims default to the facts on the encoding's class, an
    adapter's to none.

    *Raises*: UsageError for any other subject, texts too short for the laws, and a law that does not exist.
    """
    if isinstance(subject, PositionalEncoding | Adapter):
        first = subject
    elif callable(subject) and not isinstance(subject, nn.Module):
        first = subject(SIZE)
    else:
        raise UsageError(
            f"subject must be a PositionalEncoding, an Adapter or a function of a Size, got {type(subject).__name__}",
            hint="a subclass of scriptchain.conformance.Adapter around it",
        )
    if not isinstance(first, PositionalEncoding | Adapter):
        raise UsageError(f"subject must build a PositionalEncoding or an Adapter, got {type(first).__name__}")
    if first.size.max_seq_len < SIZE.max_seq_len:
        raise UsageError(f"max_seq_len must be at least {SIZE.max_seq_len}, got {first.size.max_seq_len}")
    names = list(LAWS) if laws is None else list(laws)
    for law in names:
        if law not in LAWS:
            raise UsageError(f"laws must be of {', '.join(LAWS)}, got {law!r}")
    if claims is None:
        claims = claimed(first) if isinstance(first, PositionalEncoding) else Claims()
    asked = Subject(cast(Module | Callable[[Size], Module], subject), claims)
    return _verdict(type(first).__name__, {law: _ask(law, asked) for law in names})


def _ask(law: str, subject: Subject) -> tuple[str, str]:
    try:
        LAWS[law](subject)
    except NotAsked as reason:
        return "not asked", str(reason)
    except AssertionError as broken:
        return "fails", _on_one_line(broken)
    except Exception as error:  # whatever somebody's module raises is an answer, and the other laws go on
        return "fails", f"{type(error).__name__}: {_on_one_line(error)}"
    return "holds", ""


def _on_one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _verdict(module: str, answers: dict[str, tuple[str, str]]) -> Verdict:
    def having(answer: str) -> dict[str, str]:
        return {law: why for law, (found, why) in answers.items() if found == answer}

    holds, fails, not_asked = having("holds"), having("fails"), having("not asked")
    return Verdict(
        f"conformance of {module}",
        {"module": module, "holds": list(holds), "fails": fails, "not_asked": not_asked},
        [
            f"{len(holds)} laws hold, {len(fails)} fail, {len(not_asked)} were not asked",
            Table("laws", ["law", "answer"], [[law, ": ".join(filter(None, pair))] for law, pair in answers.items()]),
        ],
    )
