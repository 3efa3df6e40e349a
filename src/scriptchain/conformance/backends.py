"""Every backend of `attend` gives the same output and the same gradients, with any bias, mask or packing."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..model.pipeline import Network
from ..model.trace import Trace
from ..positions import Dense, Positions
from .inputs import SAME, difference, draw, padding, scatter, texts

HEADS = 2


def inputs(p: Positions, bias: str, dtype: torch.dtype) -> dict[str, Tensor]:
    """Queries and keys of width 3, values of width 5, and a random table with a batch axis of 1 or of the batch."""
    shape = tuple(p.valid.shape)
    tensors = {
        "q": draw(*shape, HEADS, 3, seed=1, dtype=dtype),
        "k": draw(*shape, HEADS, 3, seed=2, dtype=dtype),
        "v": draw(*shape, HEADS, 5, seed=3, dtype=dtype),
    }
    if bias != "none":
        batch, length = (1, p.valid.numel()) if p.packed else shape
        tensors["bias"] = draw(batch if bias == "each" else 1, HEADS, length, length, seed=4, dtype=dtype)
    return {name: tensor.requires_grad_() for name, tensor in tensors.items()}


def run(attend: Callable[..., Tensor], tensors: dict[str, Tensor], p: Positions, **how: Any) -> Tensor:
    bias = Dense(tensors["bias"]) if "bias" in tensors else None
    return attend(tensors["q"], tensors["k"], tensors["v"], p, scale=0.7, bias=bias, **how)


def check_backends(attend: Callable[..., Tensor], p: Positions, bias: str, dtype: torch.dtype = torch.float64) -> None:
    tensors = inputs(p, bias, dtype)
    same = 1e-10 if dtype == torch.float64 else SAME
    plain = run(attend, tensors, p, backend="dense")
    weight = draw(*plain.shape, seed=5, dtype=dtype)
    gradients = torch.autograd.grad((plain * weight).sum(), list(tensors.values()))
    for backend in ("fused", "auto"):
        output = run(attend, tensors, p, backend=backend)
        assert output.shape == plain.shape, f"{backend} must have the shape of dense"
        assert difference(output, plain) < same, f"{backend} must equal dense"
        others = torch.autograd.grad((output * weight).sum(), list(tensors.values()))
        for name, one, other in zip(tensors, gradients, others, strict=True):
            assert difference(one, other) < 10 * same, f"{backend} must have dense's gradient of {name}"


def check_trace(attend: Callable[..., Tensor], p: Positions, bias: str) -> None:
    tensors = inputs(p, bias, torch.float64)
    seen: dict[str, Tensor] = {}
    output = run(attend, tensors, p, trace=seen.__setitem__)
    assert difference(output, run(attend, tensors, p)) < 1e-10, "a trace must not change the output"
    assert list(seen) == ["scores", "weights"], "a trace must hold scores and weights"
    weights = seen["weights"]
    batch, length = (1, p.valid.numel()) if p.packed else p.valid.shape
    assert weights.shape == seen["scores"].shape == (batch, HEADS, length, length), "weights are heads x queries x keys"
    assert difference(weights.sum(-1), torch.ones(batch, HEADS, length)) < 1e-10, "weights of a query must sum to 1"
    segment = p.segment.reshape(batch, length)
    hidden = ~p.valid.reshape(batch, 1, length) | (segment[:, :, None] != segment[:, None, :])
    hidden = hidden[:, None].expand_as(weights)
    assert weights[hidden].eq(0).all(), "weights of pads and of other texts must be 0"
    assert seen["scores"][hidden].isneginf().all(), "scores of pads and of other texts must be -inf"
    assert weights[~hidden].gt(0).all(), "weights of a text's own tokens must not be 0"
    values = tensors["v"].reshape(batch, length, HEADS, 5).transpose(1, 2)
    assert difference((weights @ values).transpose(1, 2).reshape(output.shape), output) < 1e-10, (
        "the output must be the weighted mean of the values"
    )


def check_traced_network(network: Network) -> None:
    """The trace takes the dense way through every layer: the same logits with it and without it."""
    mask = padding((3, 7, 1), 8, "left")
    ids = scatter(texts(3, 7, 1), mask)
    with torch.no_grad():
        moved = difference(network(ids, mask, Trace()), network(ids, mask))
    assert moved < SAME, f"a trace must not change the logits, moved them by {moved}"
