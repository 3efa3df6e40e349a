"""M12 for any module: the operations of each layer, and the law that their running sum follows with depth.

A stack of equal layers is linear by nature; one that calls what is below it twice is not. Configs are counted on grids
of depth and length instead (`cost.py`), which needs a module for each.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from .claims import UNITS, best_law
from .cost import UNCOUNTED
from .kept import Kept
from .laws import exponent, exponential_margin, fit_laws
from .stack import Batch, Stack, measuring

FEWEST = 5  # layers that a law can be fitted to


@dataclass(frozen=True)
class LayerCost:
    """Floating-point operations of each layer, forward; `law`, its exponent, and the `margin` by which an exponential
    beats every other law (points of the Bayesian information criterion), where there are layers enough."""

    flops: list[int]
    parameters: int
    law: str | None
    exponent: tuple[float, float, float] | None
    margin: float


def layer_cost(stack: Stack, batch: Batch) -> LayerCost:
    counter = FlopCounterMode(display=False, custom_mapping=UNCOUNTED)
    begun: list[int] = []
    ended: list[int] = []

    def note(into: list[int]) -> Callable[..., None]:
        return lambda *_: into.append(counter.get_total_flops())

    handles = [layer.register_forward_pre_hook(note(begun)) for layer in stack.layers]
    handles += [layer.register_forward_hook(note(ended)) for layer in stack.layers]
    try:
        with measuring(stack.module), torch.no_grad(), counter:
            stack.answer(batch)
    finally:
        for handle in handles:
            handle.remove()
    flops = [end - begin for begin, end in zip(begun, ended, strict=True)]
    parameters = sum(parameter.numel() for parameter in stack.module.parameters())
    depths = list(range(1, len(flops) + 1))
    sums = [float(sum(flops[:depth])) for depth in depths]
    if len(flops) < FEWEST or min(sums) <= 0:
        return LayerCost(flops, parameters, None, None, float("nan"))
    fits = fit_laws(depths, sums)
    return LayerCost(flops, parameters, best_law(fits).law, exponent(depths, sums), exponential_margin(fits))


def as_dict(cost: LayerCost, kept: Kept) -> dict[str, Any]:
    """In the shape of `costs`, with the layers' own share added."""
    named = None if cost.exponent is None else dict(zip(("value", "low", "high"), cost.exponent, strict=True))
    flops = {"value": sum(cost.flops), "unit": UNITS["flops"], "by_layer": cost.flops}
    memory = {"value": sum(kept.by_layer), "unit": UNITS["memory"], "by_layer": kept.by_layer,
              "tokens": kept.length, "quadratic": kept.quadratic, "crossover": kept.crossover}  # fmt: skip
    return {
        "parameters": {"value": cost.parameters, "unit": UNITS["parameters"]},
        "flops": flops | {"depth": {"law": cost.law, "exponent": named}},
        "memory": memory,
    }
