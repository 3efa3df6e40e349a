"""M12 for any module, memory: the bytes that each layer keeps for the backward, and how they grow with the length.

Attention that is written out keeps its weights, L x L for each head; a fused kernel forms them again and keeps none.

*Source*: arXiv 2205.14135; activations of a layer arXiv 2205.05198.
"""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from .stack import Batch, Stack, measuring

SHORTEST = 4  # tokens: a parabola takes three lengths


@dataclass(frozen=True)
class Kept:
    """`by_layer`: bytes a text at `length` tokens, parameters and what enters a layer not counted; `quadratic`: the
    share of them that grows with the square of the length, NaN for texts too short to tell; `crossover`: the length
    from which that share is the greater half, NaN where there is none."""

    by_layer: list[int]
    length: int
    quadratic: float
    crossover: float


def kept(stack: Stack, batch: Batch) -> Kept:
    length = batch.mask.shape[1]
    whole = _bytes(stack, batch, length)
    if length < SHORTEST:
        return Kept(whole, length, float("nan"), float("nan"))
    lengths = [length, length // 2, length // 4]
    sums = [sum(whole), *(sum(_bytes(stack, batch, one)) for one in lengths[1:])]
    square, linear, _ = np.linalg.solve(np.vander(np.array(lengths, float), 3), np.array(sums, float))
    quadratic = max(0.0, float(square)) * length**2 / max(1, sum(whole))
    if quadratic < 1e-9:  # the solution's own rounding
        return Kept(whole, length, 0.0, float("nan"))
    return Kept(whole, length, min(1.0, quadratic), max(0.0, float(linear / square)))


def _bytes(stack: Stack, batch: Batch, length: int) -> list[int]:
    """Of each layer, for one text of that many tokens; a storage counts once, in the layer that first keeps it."""
    inputs = batch.inputs[:1, :length]
    one = Batch(inputs, torch.ones(inputs.shape[:2], dtype=torch.bool, device=inputs.device))
    known = {parameter.untyped_storage()._cdata for parameter in stack.module.parameters()}
    found = [0] * len(stack.layers)
    alive: list[Tensor] = []  # a freed storage's number would be given again
    at: int | None = None

    def enter(number: int) -> Callable[..., None]:
        def hook(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            nonlocal at
            at = number
            known.update(part.untyped_storage()._cdata for part in tree_leaves((args, kwargs)) if _is_plain(part))

        return hook

    def leave(*_: Any) -> None:
        nonlocal at
        at = None

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if at is not None and storage._cdata not in known:
            known.add(storage._cdata)
            alive.append(tensor)
            found[at] += storage.nbytes()
        return tensor

    with measuring(stack.module), ExitStack() as cleanup, torch.enable_grad():
        for number, layer in enumerate(stack.layers):
            cleanup.callback(layer.register_forward_pre_hook(enter(number), with_kwargs=True).remove)
            cleanup.callback(layer.register_forward_hook(leave).remove)
        cleanup.enter_context(torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor))
        stack.answer(one)
    return found


def _is_plain(part: Any) -> bool:
    return isinstance(part, Tensor) and part.layout is torch.strided
