"""Claims about cost, answered by measuring: TRUE, FALSE or UNDECIDED, with the points and the fitted laws.

"memory grows exponentially with layers": the quantity is counted on a grid of depths or lengths, competing laws are
fitted, and the claimed one must beat or lose to the best other by a margin that noise does not make.
"""

import re
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from ..config import Config
from ..errors import UsageError
from ..model.pipeline import Network
from ..report import Report, Table
from .cost import CLASSES, VOCAB, Cost, at_shape, cost
from .laws import Fit, exponent, exponential_margin, fit_laws

LINEAR = 1.1  # an exponent below this leaves no room for a square
DECISIVE = 10.0  # difference of the Bayesian information criterion that counts as very strong (Kass and Raftery 1995)
DEPTHS, LENGTHS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32), (16, 32, 64, 128, 256, 512, 1024, 2048)
TIMED_DEPTHS, TIMED_LENGTHS, TURNS = (1, 2, 4, 6, 8, 12, 16), (16, 32, 64, 128, 192, 256), 7
QUANTITIES = {
    "parameters": ("parameter",), "flops": ("flop", "operation", "compute", "cost"), "memory": ("memory",),
    "time": ("time", "latency"),
}  # fmt: skip
UNITS = {"parameters": "learned numbers", "flops": "operations forward", "memory": "bytes kept", "time": "CPU seconds"}
LAWS = {"linear": ("linear", "proportional"), "quadratic": ("quadratic", "square"), "exponential": ("exponential",)}
FORMS = {"linear": "a + b x", "quadratic": "a + b x + c x^2", "power": "a + b x^p", "exponential": "a + b r^x"}
AXES = {"depth": ("layer", "depth"), "length": ("length", "token")}


@dataclass(frozen=True)
class Claim:
    """What is said to grow, by which law, with what."""

    quantity: str
    law: str
    axis: str

    @classmethod
    def parse(cls, sentence: str) -> "Claim":
        """From words such as "memory grows exponentially with layers".

        *Raises*: UsageError naming what a claim is made of.
        """
        found = [_word(sentence, words) for words in (QUANTITIES, LAWS, AXES)]
        if None in found:
            raise UsageError(
                f"a claim must name one quantity ({', '.join(QUANTITIES)}), one law ({', '.join(LAWS)}) and layers or "
                f"length, or be a known one, got {sentence!r}",
                hint='--claim "memory grows exponentially with layers", --claim "gradients vanish with layers"',
            )
        return cls(*(word for word in found if word is not None))

    def __str__(self) -> str:
        how = {"linear": "linearly", "quadratic": "quadratically", "exponential": "exponentially"}[self.law]
        return f"{self.quantity} grows {how} with {'layers' if self.axis == 'depth' else 'length'}"


def judge(claim: Claim, config: Config, *, progress: Callable[[str], object] = lambda line: None) -> Report:
    """The claim's verdict on the config's network, with its law, exponent and points."""
    timed = claim.quantity == "time"
    grid, values = (_timed if timed else _counted)(claim.quantity, claim.axis, config, progress)
    fits, (value, low, high) = fit_laws(grid, values), exponent(grid, values)
    best = best_law(fits)
    state = verdict(claim.law, fits, high)
    data: dict[str, Any] = {
        "claim": str(claim), "verdict": state, "law": best.law, "exponent": {"value": value, "low": low, "high": high},
        "quantity": claim.quantity, "unit": UNITS[claim.quantity], "axis": claim.axis,
        "points": [{claim.axis: x, "value": y} for x, y in zip(grid, values, strict=True)],
        "bic": {name: fit.bic for name, fit in fits.items()},
    }  # fmt: skip
    body: list[Any] = [
        f"{claim}: {state}",
        f"the law is {best.law}, {FORMS[best.law]} (exponent of a + b x^p: {value:.3f} [{low:.3f}, {high:.3f}])",
        Table(
            "laws", ["law", "form", "BIC, the lower the better"],
            [[fit.law, FORMS[fit.law], round(fit.bic, 1)] for fit in sorted(fits.values(), key=lambda fit: fit.bic)],
        ),
        Table(
            "points", [claim.axis, UNITS[claim.quantity]],
            [[x, _number(y)] for x, y in zip(grid, values, strict=True)],
        ),
    ]  # fmt: skip
    if best.law == "quadratic" and claim.axis == "length":
        data["crossover"], line = _crossover(best, config)
        body.insert(2, line)
    return Report("claim", data, body)


def costs(config: Config, name: str, *, progress: Callable[[str], object] = lambda line: None) -> Report:
    """The law of every cost that can be counted, with depth and with length; nothing is allocated or timed."""
    here = cost(config, num_layers=config.num_layers, length=config.max_seq_len)
    counted = ("parameters", "flops", "memory")
    laws: dict[str, Any] = {
        quantity: {"value": getattr(here, quantity), "unit": UNITS[quantity]} for quantity in counted
    }
    rows: list[list[Any]] = []
    notes: list[str] = []
    for axis in AXES:
        grid, found = _grid(axis, config, progress)
        for quantity in counted:
            if (quantity, axis) == ("parameters", "length"):
                continue  # a table of positions grows with the longest text by design; nothing else does
            values = [float(getattr(one, quantity)) for one in found]
            value, low, high = exponent(grid, values)
            fits = fit_laws(grid, values)
            best = best_law(fits)
            laws[quantity][axis] = {
                "law": best.law, "exponent": {"value": value, "low": low, "high": high},
                "exponential_margin": exponential_margin(fits),
            }  # fmt: skip
            if best.law == "quadratic" and axis == "length":
                laws[quantity][axis]["crossover"], line = _crossover(best, config)
                notes.append(f"{quantity}: {line}")
            rows.append(
                [
                    quantity,
                    axis,
                    best.law,
                    FORMS[best.law],
                    f"{value:.3f} [{low:.3f}, {high:.3f}]",
                    f"{values[-1]:,.0f}",
                ]
            )
    titles = ["cost", "grows with", "law", "form", "exponent of a + b x^p", "at the end of the grid"]
    shape = f"{config.num_layers} layers, {config.max_seq_len} tokens, 8 texts"
    said = ", ".join(f"{getattr(here, quantity):,} {UNITS[quantity]}" for quantity in counted)
    return Report(
        f"what {name} costs",
        {"target": name, "cost": laws},
        [f"{shape}: {said}", Table("laws", titles, rows, "; ".join(notes))],
    )


def _crossover(fit: Fit, config: Config) -> tuple[float, str]:
    """The length at which the square is half of what grows, and a line on it."""
    length = fit.coefficients[1] / fit.coefficients[2]
    share = config.max_seq_len / (length + config.max_seq_len)
    return length, f"the quadratic part is {100 * share:.1f} % at {config.max_seq_len} tokens, half at {length:,.0f}"


def best_law(fits: dict[str, Fit]) -> Fit:
    """A general law that contains a simpler one (a power of 1, a square of share 0) wins by the margin only."""
    simple, square = fits["linear"], fits["quadratic"]
    if simple.bic - square.bic > DECISIVE and square.coefficients[2] > 0:
        simple = square
    general = min((fits["power"], fits["exponential"]), key=lambda fit: fit.bic)
    return general if simple.bic - general.bic > DECISIVE else simple


def verdict(law: str, fits: dict[str, Fit], exponent_high: float) -> str:
    """TRUE, FALSE or UNDECIDED of a law, from every law's fit and the upper end of the exponent's interval.

    A square that cannot be told from a line is FALSE only where the exponent leaves no room for it.
    """
    best, claimed = best_law(fits), fits[law]
    if best.law == law:
        rivals = [fit.bic for fit in fits.values() if not _contains(fit.law, law)]
        return "TRUE" if min(rivals) - claimed.bic > DECISIVE else "UNDECIDED"
    no_room = _contains(law, best.law) and exponent_high <= LINEAR
    return "FALSE" if claimed.bic - best.bic > DECISIVE or no_room else "UNDECIDED"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1_000 else f"{value:.4g}"


def _contains(general: str, special: str) -> bool:
    return general == special or (special == "linear" and general in ("quadratic", "power"))


def _word(sentence: str, words: dict[str, tuple[str, ...]]) -> str | None:
    found = {name for name, stems in words.items() if any(re.search(rf"\b{stem}", sentence.lower()) for stem in stems)}
    return found.pop() if len(found) == 1 else None


def _grid(axis: str, config: Config, progress: Callable[[str], object]) -> tuple[list[int], list[Cost]]:
    grid, found = list(DEPTHS if axis == "depth" else LENGTHS), []
    for point in grid:
        depth, length = _shape(axis, point, config)
        found.append(cost(config, num_layers=depth, length=length))
        progress(f"{axis} {point}: {found[-1].flops:,} operations forward, {found[-1].memory:,} bytes kept")
    return grid, found


def _counted(
    quantity: str, axis: str, config: Config, progress: Callable[[str], object]
) -> tuple[list[int], list[float]]:
    grid, found = _grid(axis, config, progress)
    return grid, [float(getattr(one, quantity)) for one in found]


def _shape(axis: str, point: int, config: Config) -> tuple[int, int]:
    """Layers and tokens at a point of a grid."""
    return (point, config.max_seq_len) if axis == "depth" else (config.num_layers, point)


def _timed(
    quantity: str, axis: str, config: Config, progress: Callable[[str], object]
) -> tuple[list[int], list[float]]:
    """Medians of forward and backward, taken in turns: a slow moment of the machine meets every size."""
    grid = list(TIMED_DEPTHS if axis == "depth" else TIMED_LENGTHS)
    steps = []
    for point in grid:
        depth, length = _shape(axis, point, config)
        network = Network(at_shape(config, depth, length), VOCAB, CLASSES)
        ids, mask = torch.zeros(8, length, dtype=torch.long), torch.ones(8, length, dtype=torch.bool)
        steps.append(lambda network=network, ids=ids, mask=mask: network(ids, mask).sum().backward())
    taken: list[list[float]] = [[] for _ in grid]
    for turn in range(TURNS + 1):
        for number, step in enumerate(steps):
            start = time.process_time()
            step()
            if turn:  # the first warms the caches
                taken[number].append(time.process_time() - start)
        progress(f"turn {turn} of {TURNS}")
    return grid, [statistics.median(seconds) for seconds in taken]
