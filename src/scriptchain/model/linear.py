"""Linear layers whose float32 products go to oneDNN, where a look at the processor finds that exact and quicker.

PyTorch has two libraries of products for a CPU, and sends those of float32 to MKL, which is slow on some processors.
What sends them to oneDNN is named "bf16": a processor that takes it at its word shows that by its error.
"""

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.backends import mkldnn

from ..positions._positions import readable

EXACT = 1e-5  # the largest error beside float64, in terms of the largest number
WORTH = 1.3  # times as quick, so that noise never decides on a processor that has both alike
_QUICK = ContextVar("quick", default=False)


class Linear(nn.Linear):
    """`nn.Linear`, which inside `quick_products()` takes the quicker of two products, forward and backward.

    Shapes: `(*T, I)` to `(*T, O)`.
    """

    def forward(self, input: Tensor) -> Tensor:
        if readable(input) and _QUICK.get() and _by_default(input) and worthwhile():
            return _Product.apply(input, self.weight, self.bias)
        return super().forward(input)


@contextmanager
def quick_products() -> Iterator[None]:
    """Inside, linear layers of float32 on a CPU take oneDNN's product where it is worthwhile."""
    token = _QUICK.set(True)
    try:
        yield
    finally:
        _QUICK.reset(token)


@cache
def worthwhile() -> bool:
    """Whether oneDNN's product of an encoder's shapes is exact here and quicker; asked once a process."""
    return exact() and statistics.median(_seconds(False) / _seconds(True) for _ in range(9)) >= WORTH


def exact() -> bool:
    """Whether all three products, of the output and of both gradients, have the error of float32."""
    x, weight, grad = _shapes()
    quick = _products(x, weight, grad)
    return all(
        float((one - other).abs().max() / other.abs().max()) < EXACT
        for one, other in zip(quick, _products(x.double(), weight.double(), grad.double()), strict=True)
    )


def _by_default(x: Tensor) -> bool:
    return x.device.type == "cpu" and x.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        with _onednn():
            return nn.functional.linear(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        (grad,), (x, weight) = grad_outputs, ctx.saved_tensors
        of_x, of_weight, of_bias = ctx.needs_input_grad
        rows = grad.flatten(0, -2)
        with _onednn():
            return (
                grad @ weight if of_x else None,
                rows.T @ x.flatten(0, -2) if of_weight else None,
                rows.sum(0) if of_bias else None,
            )


@contextmanager
def _onednn() -> Iterator[None]:
    switch = mkldnn.matmul  # pyright: ignore[reportAttributeAccessIssue] - set where PyTorch starts
    before = switch.fp32_precision
    if before == "bf16":  # somebody else's, or another thread is inside, and puts it back
        yield
        return
    switch.fp32_precision = "bf16"
    try:
        yield
    finally:
        switch.fp32_precision = before


def _shapes() -> tuple[Tensor, Tensor, Tensor]:
    drawn = torch.Generator().manual_seed(0)
    x, weight, grad = (torch.randn(shape, generator=drawn) for shape in ((480, 128), (512, 128), (480, 512)))
    return x, weight, grad


def _products(x: Tensor, weight: Tensor, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    with _onednn():
        return nn.functional.linear(x, weight), grad @ weight, grad.T @ x


def _seconds(quick: bool) -> float:
    """CPU time of some products of one library."""
    x, weight, _ = _shapes()
    with torch.inference_mode(), _onednn() if quick else nullcontext():
        start = time.process_time()
        for _ in range(4):
            nn.functional.linear(x, weight)
        return time.process_time() - start
