"""The straight line of an examination: batches, passes, measurements by layer, verdicts, report."""

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ..errors import DataError, UsageError
from ..report import Report
from .branches import branches
from .collapse import collapse
from .copies import likeness
from .entropy import attention
from .fitting import fitting
from .gradients import Loss, gradients
from .influence import influence
from .kept import kept
from .layer_cost import as_dict, layer_cost
from .leaks import leak
from .order import Order, order
from .places import places_by_layer
from .stack import Batch, Forward, Stack
from .streams import collect, rebatched, subset
from .summary import summary
from .verdicts import Measurements, Verdict, judge_all

FEWEST = 32  # texts: intervals over fewer are guesses
REPEATS = 8  # batches that the gradients' intervals come from
SOME = 64  # texts for what costs a forward a layer


def examine(
    module: nn.Module,
    batches: Iterable[Any],
    layers: str | Sequence[str] = "auto",
    *,
    weights: Literal["initial", "trained"] = "trained",
    held_out: Iterable[Any] | None = None,
    forward: Forward | None = None,
    loss: Loss | None = None,
    seed: int = 0,
    progress: Callable[[str], object] = lambda line: None,
) -> Report:
    """What depth does to a module's stack of layers, measured on at least 32 texts (256 are better).

    batches: each a `Batch`, a tuple `(inputs, mask[, labels])`, or a mapping with `input_ids`, `attention_mask` and
        perhaps `labels`; masks are True (or 1) on real tokens. `held_out` are texts that it did not learn from.
    layers: "auto" takes the longest list of modules that turn (B, L, d) into (B, L, d); else the list's name, or names
    weights: "initial" leaves verdicts that need training undecided
    forward: how to call the module with inputs and mask, where `usual_forward` does not know
    loss: from the answer (B, C) and the batch; cross-entropy of the labels, or of a random readout without labels

    The report's `verdicts` are by name, `layers` by layer with the input first, `cost` the operations by layer.
    Nothing of the module changes; the same seed gives the same numbers (but for `cpu_seconds`).

    *Raises*: UsageError where no stack is found, a layer is not called once a forward, parameters are of a half type,
    numbers are not finite, or a batch has no mask; DataError for fewer than 32 texts.
    """
    start = time.process_time()
    given, unseen = [as_batch(one) for one in batches], [as_batch(one) for one in held_out or ()]
    texts = sum(len(batch.mask) for batch in given)
    if texts < FEWEST:
        raise DataError(f"an examination needs at least {FEWEST} texts, got {texts}", hint="256 give narrow intervals")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        stack = Stack(module, given[0], layers, forward)
        seen = _measure(stack, given, unseen, weights == "trained", loss, seed, progress)
    verdicts = judge_all(seen)
    return _report(stack, seen, verdicts, seed, time.process_time() - start)


def as_batch(value: Any) -> Batch:
    """A `Batch` from the usual forms. Raises UsageError for one without a padding mask."""
    if isinstance(value, Mapping):
        value = (value.get("input_ids"), value.get("attention_mask"), value.get("labels"))
    if isinstance(value, Batch):
        value = (value.inputs, value.mask, value.labels, value.special)
    parts = (*value, None, None, None)[:4] if isinstance(value, (tuple, list)) else (value, None, None, None)
    inputs, mask, labels, special = parts
    if not isinstance(inputs, Tensor) or not isinstance(mask, Tensor):
        raise UsageError(
            "a batch must hold inputs and a padding mask, got none", hint="torch.ones_like(ids) if nothing is a pad"
        )
    if mask.shape != inputs.shape[:2] or not mask.bool().any(1).all():
        raise UsageError(
            f"a mask must be (B, L) as its inputs with a real token in each row, got {tuple(mask.shape)} for "
            f"{tuple(inputs.shape)}"
        )
    return Batch(inputs, mask.bool(), labels, special)


def _measure(
    stack: Stack, batches: list[Batch], held_out: list[Batch], trained: bool, loss: Loss | None, seed: int,
    progress: Callable[[str], object],
) -> Measurements:  # fmt: skip
    texts = sum(len(batch.mask) for batch in batches)
    progress(f"{len(stack.layers)} layers, {stack.names[0]} to {stack.names[-1]}; {texts:,} texts")
    some = subset(batches, SOME)
    leaked = leak(stack, some)
    progress("gradients")
    slopes = gradients(stack, rebatched(batches, max(2, math.ceil(texts / REPEATS))), loss, seed)
    progress("streams")
    streams = collect(stack, batches)
    alike, changes = collapse(streams), branches(streams)
    progress("attention")
    looked = attention(stack, batches)
    progress("positions")
    ids = not batches[0].inputs.is_floating_point()
    placed = places_by_layer(stack, batches, seed) if ids else None
    progress("order")
    ordered = order(stack, batches, held_out, seed) if ids else None
    progress("each layer left out")
    some_streams = collect(stack, some)
    used = influence(stack, some, some_streams)
    return Measurements(
        texts, trained, leaked, slopes, alike, changes, looked, placed, ordered, used, likeness(stack.layers),
        layer_cost(stack, some[0]), kept(stack, some[0]), fitting(stack, batches, held_out),
    )  # fmt: skip


def by_layer(stack: Stack, seen: Measurements) -> list[dict[str, Any]]:
    """One row a layer, the input first; what a layer cannot have is absent."""
    rows: list[dict[str, Any]] = []
    for number in range(len(seen.collapse)):
        alike, change = seen.collapse[number], seen.branches[number]
        row: dict[str, Any] = {
            "layer": number, "name": stack.names[number - 1] if number else "input",
            "gradient": seen.gradients.stream[number].value, "residual": alike.residual.value,
            "centered_residual": alike.centered.value, "cosine_within": alike.cosine_within.value,
            "cosine_across": alike.cosine_across, "variance": change.variance, "peak": change.peak,
        }  # fmt: skip
        if seen.places is not None:
            place = seen.places[number]
            row |= {
                "probe": place.probe.value, "probe_accuracy": place.accuracy, "probe_chance": place.chance,
                "probe_control": place.control, "position_share": place.position.value, "content_share": place.content,
            }  # fmt: skip
        if number:
            looked, used = seen.attention[number - 1], seen.influence[number - 1]
            row |= {
                "query_key_gradient": seen.gradients.attention[number - 1].value,
                "update": change.update.value if change.update else None, "turn": used.turn.value,
                "skip": used.skip.value, "skip_loss": used.loss.value, "flops": seen.cost.flops[number - 1],
                "kept": seen.kept.by_layer[number - 1],
            }  # fmt: skip
            if looked is not None:
                row |= {
                    "entropy": looked.entropy.value, "concentration": looked.concentration.value,
                    "logit_spread": looked.spread.value, "sink": looked.sink.value, "head_entropy": looked.heads,
                }  # fmt: skip
        rows.append(row)
    return rows


def _report(stack: Stack, seen: Measurements, verdicts: list[Verdict], seed: int, seconds: float) -> Report:
    data: dict[str, Any] = {
        "weights": "trained" if seen.trained else "initial", "texts": seen.texts, "seed": seed,
        "stack": stack.names, "verdicts": {verdict.name: verdict.to_dict() for verdict in verdicts},
        "layers": by_layer(stack, seen), "cost": as_dict(seen.cost, seen.kept), "order": _order(seen.order),
        "cpu_seconds": seconds,
    }  # fmt: skip
    return Report("depth", data, summary(data))


def _order(seen: Order | None) -> dict[str, Any] | None:
    if seen is None:
        return None
    named = {name: getattr(seen, name)._asdict() for name in ("distance", "accuracy", "drop")}
    return named | {"flips": seen.flips}
