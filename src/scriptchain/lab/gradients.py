"""M3 and M4, gradients by layer: of the stream, and of queries and keys beside values.

Where skip connections carry the stream, its gradient does not vanish; what starves in a deep stack whose tokens become
alike is the gradient of queries and keys, since alike keys make every attention weight a constant.

*Source*: arXiv 2206.03126, 2002.04745.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from .intervals import UNKNOWN, Measured, geometric
from .stack import Batch, Stack

Loss = Callable[[Tensor, Batch], Tensor]
CLASSES = 4  # of the stand-in task, where there are no labels

_NAMES = {
    "query": r"(query|query_proj|q_proj|q_lin|to_q|wq|q_linear|q)",
    "key": r"(key|key_proj|k_proj|k_lin|to_k|wk|k_linear|k)",
    "value": r"(value|value_proj|v_proj|v_lin|to_v|wv|v_linear|v)",
}


@dataclass(frozen=True)
class Gradients:
    """`stream[l]` is the norm of the loss's gradient at stream l, relative to the last; `attention[l]` that of the
    query and key weights of layer l + 1 relative to its value weights, UNKNOWN where a layer has none or both are 0."""

    stream: list[Measured]
    attention: list[Measured]


def gradients(stack: Stack, batches: Sequence[Batch], loss: Loss | None = None, seed: int = 0) -> Gradients:
    """A backward a batch; batches are the repetitions that intervals come from. No parameter keeps a gradient."""
    loss = stand_in(seed) if loss is None else loss
    parts = [projections(layer) for layer in stack.layers]
    streams, attention = [], []
    before = {parameter: parameter.grad for parameter in stack.module.parameters()}
    required = {parameter: parameter.requires_grad for parameter in stack.module.parameters()}
    try:
        for parameter in before:
            parameter.requires_grad_(True)
        for batch in batches:
            for parameter in before:
                parameter.grad = None
            seen = stack.run(batch, keep_gradients=True)
            loss(seen.answer, batch).backward()
            streams.append([_norm(stream.grad, batch) for stream in seen.streams])
            attention.append([_starved(part) for part in parts])
    finally:
        for parameter, gradient in before.items():
            parameter.grad = gradient
            parameter.requires_grad_(required[parameter])
    stream_RT, attention_RT = np.array(streams), np.array(attention)
    with np.errstate(divide="ignore", invalid="ignore"):
        relative_RT = stream_RT / stream_RT[:, -1:]
        ratio_RT = attention_RT[..., 0] / attention_RT[..., 1]
    return Gradients([_measured(one) for one in relative_RT.T], [_measured(one) for one in ratio_RT.T])


def stand_in(seed: int = 0) -> Loss:
    """Cross-entropy of the labels; of a fixed random linear readout and random classes where there are none.

    The answer is brought to unit variance for the readout, so that its scale does not decide how sure it is.
    """

    def loss(answer: Float[Tensor, "B C"], batch: Batch) -> Float[Tensor, ""]:
        if batch.labels is not None:
            return cross_entropy(answer, batch.labels)
        rng = torch.Generator().manual_seed(seed)
        classes = torch.randint(CLASSES, (len(answer),), generator=rng).to(answer.device)
        readout = torch.randn(answer.shape[1], CLASSES, generator=rng, dtype=torch.float64).to(answer)
        scale = answer.detach().std().clamp(min=1e-30)
        return cross_entropy(answer / scale @ readout / answer.shape[1] ** 0.5, classes)

    return loss


Part = Callable[[], Tensor | None]


def projections(layer: nn.Module) -> tuple[list[Part], list[Part]] | None:
    """The gradients of query and key weights, and of value weights; None where their modules are not known by name.

    Known are torch's MultiheadAttention, linear layers named query, key and value (or q_proj, q_lin, to_q ...), and
    one linear layer to three times its width.
    """
    for part in layer.modules():
        if isinstance(part, nn.MultiheadAttention):
            if part.in_proj_weight is not None:
                return _thirds(part.in_proj_weight)
            query, key, value = (_whole(part.get_parameter(f"{role}_proj_weight")) for role in "qkv")
            return [query, key], [value]
    found: dict[str, nn.Module] = {}
    for name, part in layer.named_modules():
        for role, pattern in _NAMES.items():
            if isinstance(getattr(part, "weight", None), Tensor) and re.fullmatch(pattern, name.rpartition(".")[2]):
                found.setdefault(role, part)
    if len(found) == 3:
        weights = {role: _whole(part.get_parameter("weight")) for role, part in found.items()}
        return [weights["query"], weights["key"]], [weights["value"]]
    for part in layer.modules():
        if isinstance(part, nn.Linear) and part.out_features == 3 * part.in_features:
            return _thirds(part.weight)
    return None


def _whole(weight: Tensor) -> Part:
    return lambda: weight.grad


def _thirds(weight: Tensor) -> tuple[list[Part], list[Part]]:
    def third(number: int) -> Part:
        return lambda: None if weight.grad is None else weight.grad.chunk(3)[number]

    return [third(0), third(1)], [third(2)]


def _starved(parts: tuple[list[Part], list[Part]] | None) -> tuple[float, float]:
    if parts is None:
        return float("nan"), float("nan")
    query_key, value = ([part() for part in side] for side in parts)
    return _size(query_key), _size(value)


def _size(gradients: Sequence[Tensor | None]) -> float:
    return float(sum(float((one.double() ** 2).sum()) for one in gradients if one is not None) ** 0.5)


def _norm(gradient: Tensor | None, batch: Batch) -> float:
    """A gradient that has left the range of its numbers has exploded: it is no unknown one."""
    size = 0.0 if gradient is None else float(gradient.double()[batch.mask].norm())
    return size if math.isfinite(size) else math.inf


def _measured(ratios: NDArray[np.float64]) -> Measured:
    """0 / 0 is unknown (gates that start at 0); 0 beside something is none."""
    if np.isnan(ratios).any():
        return UNKNOWN
    if (ratios == 0).all():
        return Measured(0.0, 0.0, 0.0)
    return geometric(np.clip(ratios, 1e-300, 1e300))
