"""Claims about what depth does to gradients, tokens and positions: measured on freshly initialised stacks of
growing depth, several seeds each, and held against the threshold of the verdict that the claim is about.

TRUE where the deepest stacks are all ill; FALSE where no depth has more ill than healthy ones; else UNDECIDED.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import linregress, t

from ..config import Config, replace
from ..model.pipeline import Network
from ..report import Report, Table
from .collapse import collapse
from .gradients import gradients
from .places import places_by_layer
from .stack import Batch, Stack
from .streams import collect, rebatched
from .thresholds import THRESHOLDS

DEPTHS, SEEDS = (3, 6, 12, 24), 3
Build = Callable[[Config, int], Network]  # a freshly initialised network of a config, by seed
NORMED = ("post_norm", "pre_norm", "deep_norm")


def _stream(stack: Stack, batches: Sequence[Batch]) -> float:
    return gradients(stack, rebatched(batches, 16)).stream[0].value


def _starved(stack: Stack, batches: Sequence[Batch]) -> float:
    found = [one.value for one in gradients(stack, rebatched(batches, 16)).attention]
    return min((value for value in found if not math.isnan(value)), default=math.nan)


def _collapsed(stack: Stack, batches: Sequence[Batch]) -> float:
    return collapse(collect(stack, batches))[-1].centered.value


def _kept(stack: Stack, batches: Sequence[Batch]) -> float:
    """NaN where no position enters the stream."""
    places = places_by_layer(stack, batches)
    first, last = places[0].position, places[-1].position
    return last.value / first.value if first.low > 0.01 else math.nan


@dataclass(frozen=True)
class DepthClaim:
    """What is said to happen with depth: `verdict` names the threshold, `words` must all stand in the sentence."""

    said: str
    quantity: str
    verdict: str
    words: tuple[tuple[str, ...], ...]
    measure: Callable[[Stack, Sequence[Batch]], float]
    by_norm: bool = False

    def __str__(self) -> str:
        return self.said


CLAIMS = (
    DepthClaim(
        "queries and keys starve with layers", "gradient of query and key weights over that of values, least layer",
        "query_key_starvation", (("quer", "key"), ("gradient", "starv", "vanish")), _starved,
    ),
    DepthClaim(
        "gradients vanish with layers", "gradient of the stream at the input over that at the last layer",
        "stream_gradient_vanishing", (("gradient",), ("vanish", "disappear")), _stream,
    ),
    DepthClaim(
        "gradients explode with layers", "gradient of the stream at the input over that at the last layer",
        "stream_gradient_exploding", (("gradient",), ("explod",)), _stream,
    ),
    DepthClaim(
        "tokens become alike with layers", "share of what differs at all that differs inside a text, last layer",
        "rank_collapse", (("token", "rank", "stream"), ("alike", "collapse", "same", "smooth")), _collapsed,
    ),
    DepthClaim(
        "layer norm dilutes positions", "share of variance by position at the last layer over that at the input",
        "position_diluted", (("norm",), ("position",)), _kept, by_norm=True,
    ),
    DepthClaim(
        "positions are diluted with layers", "share of variance by position at the last layer over that at the input",
        "position_diluted", (("position",), ("dilut", "fade", "lost", "lose", "vanish", "weak")), _kept,
    ),
)  # fmt: skip


def parse(sentence: str) -> DepthClaim | None:
    """The claim that a sentence makes; None for one about something else."""
    text = sentence.lower()
    return next((one for one in CLAIMS if all(any(stem in text for stem in stems) for stems in one.words)), None)


def judge_depth(
    claim: DepthClaim, config: Config, build: Build, batches: Sequence[Batch], seed: int = 0,
    progress: Callable[[str], object] = lambda line: None,
) -> Report:  # fmt: skip
    """The claim's verdict on the config's stack at several depths; of norms, on each placement of the norm."""
    arms = [replace(config, residual=norm, residual_scale=1.0) for norm in NORMED] if claim.by_norm else [config]
    points: list[dict[str, Any]] = []
    for arm in arms:
        for depth in DEPTHS[-1:] if claim.by_norm else DEPTHS:
            for number in range(seed, seed + SEEDS):
                network = build(replace(arm, num_layers=depth), number)
                value = claim.measure(Stack(network, batches[0]), batches)
                points.append({"depth": depth, "seed": number, "residual": arm.residual, "value": value})
            progress(f"{arm.residual} at {depth} layers: {points[-1]['value']:.3g}")
    threshold = THRESHOLDS[claim.verdict]
    state = _of_norms(points, threshold.value) if claim.by_norm else _state(points, threshold.value, threshold.side)
    slope = _slope(points)
    data: dict[str, Any] = {
        "claim": str(claim), "verdict": state, "law": "power", "exponent": slope, "quantity": claim.quantity,
        "threshold": {"value": threshold.value, "side": threshold.side, "source": threshold.source}, "points": points,
    }  # fmt: skip
    cell = "norm" if claim.by_norm else "depth"
    key = "residual" if claim.by_norm else "depth"
    groups = dict.fromkeys(point[key] for point in points)
    rows = [[group, *(point["value"] for point in points if point[key] == group)] for group in groups]
    body: list[Table | str] = [
        f"{claim}: {state}",
        _why(claim, points, slope, state),
        Table(claim.quantity, [cell, *(f"seed {number}" for number in range(seed, seed + SEEDS))], rows,
              f"ill {threshold.side} {threshold.value:g} ({threshold.source}); initial weights"),
    ]  # fmt: skip
    return Report("claim", data, body)


def _ill(value: float, threshold: float, side: str) -> bool:
    return value < threshold if side == "below" else value > threshold


def _state(points: Sequence[dict[str, Any]], threshold: float, side: str) -> str:
    values = {depth: [point["value"] for point in points if point["depth"] == depth] for depth in DEPTHS}
    if any(math.isnan(value) for found in values.values() for value in found):
        return "UNDECIDED"
    if all(_ill(value, threshold, side) for value in values[DEPTHS[-1]]):
        return "TRUE"
    ill = [sum(_ill(value, threshold, side) for value in found) > len(found) / 2 for found in values.values()]
    return "UNDECIDED" if any(ill) else "FALSE"


def _of_norms(points: Sequence[dict[str, Any]], threshold: float) -> str:
    """A norm is not the cause where stacks that have one keep their positions."""
    kept = {norm: [point["value"] for point in points if point["residual"] == norm] for norm in NORMED}
    if any(math.isnan(value) for found in kept.values() for value in found):
        return "UNDECIDED"
    ill = {norm: all(value < threshold for value in found) for norm, found in kept.items()}
    return "TRUE" if all(ill.values()) else "FALSE"


def _slope(points: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Of ln value against ln depth, with Student's 95 % interval; NaN where it cannot be fitted."""
    depths, values = (np.array([point[key] for point in points], float) for key in ("depth", "value"))
    if len(set(depths)) < 2 or not (values > 0).any():
        return dict.fromkeys(("value", "low", "high"), math.nan)
    values = np.maximum(values, values[values > 0].min() / 2)  # a share of 0 is below what could be told from 0
    fit: Any = linregress(np.log(depths), np.log(values))
    half = float(t.ppf(0.975, len(depths) - 2) * fit.stderr)
    return {"value": float(fit.slope), "low": float(fit.slope) - half, "high": float(fit.slope) + half}


def _why(claim: DepthClaim, points: Sequence[dict[str, Any]], slope: dict[str, float], state: str) -> str:
    if any(math.isnan(point["value"]) for point in points):
        return (
            "it could not be measured: no position enters the stream"
            if claim.measure is _kept
            else ("it could not be measured: no gradient reaches the branches")
        )
    middle = {key: float(np.median([point["value"] for point in points if point["residual"] == key]))
              for key in dict.fromkeys(point["residual"] for point in points)}  # fmt: skip
    if claim.by_norm:
        kept = ", ".join(f"{norm} {value:.2g}" for norm, value in middle.items())
        return f"kept after {DEPTHS[-1]} layers, median: {kept}; all three have layer norms"
    deep = float(np.median([point["value"] for point in points if point["depth"] == DEPTHS[-1]]))
    return (
        f"{deep:.2g} at {DEPTHS[-1]} layers, median of {SEEDS} seeds; it grows as depth to the power "
        f"{slope['value']:.2f} [{slope['low']:.2f}, {slope['high']:.2f}]"
    )
