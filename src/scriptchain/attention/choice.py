"""Which way attention goes, and why: `attend` asks here, and so does `explain`."""

from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import UsageError
from ..positions import Bias, Positions
from ..positions._positions import readable
from .forms import in_rows, of_distance
from .onnx import is_wanted
from .table import placed

Backend = Literal["auto", "fused", "dense", "blockwise"]

SHORT = 256  # of fewer tokens the whole bias is formed as fast
LIMIT = 128 * 2**20  # bytes of one L x L tensor: from about there, forming scores twice is as fast as keeping them


def choose(
    q_THE: Float[Tensor, "*T H E"], p: Positions, bias: Bias | None, dropout: float, traced: bool, backend: Backend
) -> tuple[Backend, str]:
    """The way and the reason, a constant text: compiled code must not depend on a length."""
    on_values = bias is not None and bias.acts_on_values
    if backend in ("fused", "blockwise") and (traced or on_values):
        cause = "trace" if traced else "a bias that acts on values"
        raise UsageError(f"backend must be 'dense' or 'auto' with {cause}, got {backend!r}", hint="backend='auto'")
    if backend != "auto":
        return backend, "it was asked for"
    if traced:
        return "dense", "a trace reads every score"
    if on_values:
        return "dense", "the bias acts on values, so every weight is formed"
    if torch.compiler.is_exporting():
        if is_wanted():
            return "fused", "ONNX has an operator for it"
        # With a guard against rows without keys, which none is, and with a bias into strides that it did not trace.
        return "dense", "an export takes the fused kernel apart"
    if not readable(p.valid):
        return "fused", "compiled code cannot ask how long texts are"
    if dropout and p.valid.device.type == "cpu" and p.valid.shape[-1] < SHORT:
        return "dense", "with dropout every weight is formed, and the kernel's random numbers cost more than it saves"
    if bias is None and not dropout and not p.packed:
        return "fused", "without a bias the kernel forms nothing of L x L"
    if p.valid.shape[-1] < SHORT:
        return "fused", f"of fewer than {SHORT} tokens the whole bias is formed as fast"
    if of_distance(bias, q_THE):
        return "blockwise", "scores depend on distance alone, so texts go one by one without anything of L x L"
    if not in_rows(bias):
        return "fused", "a term of the bias can be formed as a whole only"
    if square_bytes(q_THE, p) <= LIMIT:
        return "fused", f"the whole bias takes no more than {size_text(LIMIT)}"
    return "blockwise", f"the whole bias takes more than {size_text(LIMIT)}, so rows are formed, and formed again"


def square_bytes(q_THE: Float[Tensor, "*T H E"], p: Positions) -> int:
    """Of one number for each text, head, query and key."""
    length = p.valid.numel() if p.packed else p.valid.shape[1]
    return p.valid.numel() * q_THE.shape[-2] * length * q_THE.element_size()


def size_text(count: int) -> str:
    return f"{count / 2**20:,.0f} MiB" if count >= 2**20 else f"{count / 2**10:,.0f} KiB"


def explain(
    q_THE: Float[Tensor, "*T H E"],
    k_THE: Float[Tensor, "*T H E"],
    v_THF: Float[Tensor, "*T H F"],
    p: Positions,
    *,
    bias: Bias | None = None,
    dropout: float = 0.0,
    trace: Any = None,
    backend: Backend = "auto",
) -> str:
    """The way that `attend` takes with these arguments, why, and the bytes of what is L x L: one line.

    `bias` is what the whole term would take, `weights` the softmax of all scores. "dense" forms both, "fused" the
    first, and the second too where the bias needs gradients or there is dropout; "blockwise" forms neither.

    *Raises*: UsageError as `attend`.
    """
    bias = placed(bias, p, q_THE.shape[-2])
    way, why = choose(q_THE, p, bias, dropout, trace is not None, backend)
    square = square_bytes(q_THE, p)
    return f"{way}: {why} (bias {size_text(0 if bias is None else square)}, weights {size_text(square)})"
