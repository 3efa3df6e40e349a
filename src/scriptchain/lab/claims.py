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

from ..config import Config, replace
from ..errors import UsageError
from ..model.pipeline import Network
from ..report import Report, Table
from .cost import CLASSES, VOCAB, cost
from .laws import Points, exponent, fit_laws

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
                f"length, got {sentence!r}",
                hint='--claim "memory grows exponentially with layers"',
            )
        return cls(*(word for word in found if word is not None))

    def __str__(self) -> str:
        how = {"linear": "linearly", "quadratic": "quadratically", "exponential": "exponentially"}[self.law]
        return f"{self.quantity} grows {how} with {'layers' if self.axis == 'depth' else 'length'}"


def judge(claim: Claim, config: Config, *, progress: Callable[[str], object] = lambda line: None) -> Report:
    """The claim's verdict on the config's network, with its law, exponent and points."""
    grid, values = _measure(claim, config, progress)
    fits = fit_laws(grid, values)
    value, low, high = exponent(grid, values)
    state, law = verdict(claim, grid, values)
    best = fits[law]
    data: dict[str, Any] = {
        "claim": str(claim), "verdict": state, "law": law, "exponent": {"value": value, "low": low, "high": high},
        "quantity": claim.quantity, "unit": UNITS[claim.quantity], "axis": claim.axis,
        "points": [{claim.axis: x, "value": y} for x, y in zip(grid, values, strict=True)],
        "bic": {name: fit.bic for name, fit in fits.items()},
    }  # fmt: skip
    body: list[Any] = [
        f"{claim}: {state}",
        f"the law is {law}, {FORMS[law]} (exponent of a + b x^p: {value:.3f} [{low:.3f}, {high:.3f}])",
        Table(
            "laws", ["law", "form", "BIC, the lower the better"],
            [[fit.law, FORMS[fit.law], round(fit.bic, 1)] for fit in sorted(fits.values(), key=lambda fit: fit.bic)],
        ),
        Table(
            "points", [claim.axis, UNITS[claim.quantity]],
            [[x, _number(y)] for x, y in zip(grid, values, strict=True)],
        ),
    ]  # fmt: skip
    if law == "quadratic" and claim.axis == "length" and best.coefficients[2] > 0:
        crossover = best.coefficients[1] / best.coefficients[2]
        share = config.max_seq_len / (crossover + config.max_seq_len)
        data["crossover"] = crossover
        body.insert(
            2, f"the quadratic part is {100 * share:.1f} % at {config.max_seq_len} tokens, half at {crossover:,.0f}"
        )
    return Report("claim", data, body)


def costs(config: Config, name: str, *, progress: Callable[[str], object] = lambda line: None) -> Report:
    """The law of every cost that can be counted, with depth and with length; nothing is allocated or timed."""
    here = cost(config, num_layers=config.num_layers, length=config.max_seq_len)
    data: dict[str, Any] = {"target": name, "cost": {}}
    rows = []
    for quantity in ("parameters", "flops", "memory"):
        of_axis: dict[str, Any] = {"value": getattr(here, quantity), "unit": UNITS[quantity]}
        for axis in AXES:
            if (quantity, axis) == ("parameters", "length"):
                continue  # a table of positions grows with the longest text by design; nothing else does
            grid, values = _measure(Claim(quantity, "linear", axis), config, progress)
            value, low, high = exponent(grid, values)
            law = verdict(Claim(quantity, "linear", axis), grid, values)[1]
            of_axis[axis] = {"law": law, "exponent": {"value": value, "low": low, "high": high}}
            rows.append([quantity, axis, law, FORMS[law], f"{value:.3f} [{low:.3f}, {high:.3f}]", f"{values[-1]:,.0f}"])
        data["cost"][quantity] = of_axis
    titles = ["cost", "grows with", "law", "form", "exponent of a + b x^p", "at the end of the grid"]
    shape = f"{config.num_layers} layers, {config.max_seq_len} tokens, 8 texts"
    counted = ", ".join(f"{getattr(here, quantity):,} {UNITS[quantity]}" for quantity in data["cost"])
    return Report(f"what {name} costs", data, [f"{shape}: {counted}", Table("laws", titles, rows)])


def verdict(claim: Claim, x: Points, y: Points) -> tuple[str, str]:
    """TRUE, FALSE or UNDECIDED, and the law that the points follow best.

    A general law that contains a simpler one (a power that is 1, a square whose share is 0) wins by the margin only.
    """
    fits = fit_laws(x, y)
    simple = min((fits["linear"], fits["quadratic"]), key=lambda fit: fit.bic)
    if simple.law == "quadratic" and (fits["linear"].bic - simple.bic < DECISIVE or simple.coefficients[2] <= 0):
        simple = fits["linear"]
    general = min((fits["power"], fits["exponential"]), key=lambda fit: fit.bic)
    best = general if simple.bic - general.bic > DECISIVE else simple
    claimed = fits[claim.law]
    if best.law == claim.law:
        rivals = [fit.bic for fit in fits.values() if not _contains(fit.law, claim.law)]
        return ("TRUE" if min(rivals) - claimed.bic > DECISIVE else "UNDECIDED"), best.law
    return ("FALSE" if claimed.bic - best.bic > DECISIVE or _contains(claim.law, best.law) else "UNDECIDED"), best.law


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1_000 else f"{value:.4g}"


def _contains(general: str, special: str) -> bool:
    return general == special or (special == "linear" and general in ("quadratic", "power"))


def _word(sentence: str, words: dict[str, tuple[str, ...]]) -> str | None:
    found = {name for name, stems in words.items() if any(re.search(rf"\b{stem}", sentence.lower()) for stem in stems)}
    return found.pop() if len(found) == 1 else None


def _measure(claim: Claim, config: Config, progress: Callable[[str], object]) -> tuple[list[int], list[float]]:
    if claim.quantity == "time":
        return _timed(claim.axis, config, progress)
    grid = list(DEPTHS if claim.axis == "depth" else LENGTHS)
    values = []
    for point in grid:
        depth, length = (point, config.max_seq_len) if claim.axis == "depth" else (config.num_layers, point)
        values.append(float(getattr(cost(config, num_layers=depth, length=length), claim.quantity)))
        progress(f"{claim.axis} {point}: {values[-1]:,.0f} {UNITS[claim.quantity]}")
    return grid, values


def _timed(axis: str, config: Config, progress: Callable[[str], object]) -> tuple[list[int], list[float]]:
    """Medians of forward and backward, taken in turns: a slow moment of the machine meets every size."""
    grid = list(TIMED_DEPTHS if axis == "depth" else TIMED_LENGTHS)
    steps = []
    for point in grid:
        depth, length = (point, config.max_seq_len) if axis == "depth" else (config.num_layers, point)
        shaped = replace(config, num_layers=depth, max_seq_len=max(2, length, config.max_seq_len))
        network = Network(shaped, VOCAB, CLASSES)
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
