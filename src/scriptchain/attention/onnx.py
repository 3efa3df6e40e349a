"""Attention as ONNX's own operator: one node of a graph, which an executor runs without forming what it consists of."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

from .dense import VECTOR

_wanted = [False]  # no context variable: an export could not trace it


@contextmanager
def onnx_operator() -> Iterator[None]:
    """Inside, `torch.onnx.export` makes one node of each `attend`: for an `opset_version` of 23 or later, which has it.

    Without, an export is of plain operators, for any opset.
    """
    before, _wanted[0] = _wanted[0], True
    try:
        yield
    finally:
        _wanted[0] = before


def is_wanted() -> bool:
    return _wanted[0] and torch.onnx.is_in_onnx_export()


def onnx_attention(
    q_BLHE: Float[Tensor, "B L H E"],
    k_BLHE: Float[Tensor, "B L H E"],
    v_BLHF: Float[Tensor, "B L H F"],
    mask_BHLL: Float[Tensor, "#B #H #L L"],
    scale: float,
) -> Float[Tensor, "B L H F"]:
    """softmax(scale q k + mask) v. Heads stay behind tokens, where the operator takes them from.

    *Source*: the operator Attention of opset 23.
    """
    batch, length, heads, width = v_BLHF.shape
    # One mask for all texts or all heads will do; one row for all queries is what executors do not take.
    mask = mask_BHLL.expand(-1, -1, length, length)
    # Keys that do not fill registers are slow: 15 cost onnxruntime more than 16.
    missing = -length % VECTOR
    k_BKD, v_BKD = (pad(t.flatten(2), (0, 0, 0, missing)) for t in (k_BLHE, v_BLHF))
    y_BLD = torch.onnx.ops.symbolic(
        "Attention", (q_BLHE.flatten(2), k_BKD, v_BKD, pad(mask, (0, missing), value=float("-inf"))),
        {"scale": scale, "q_num_heads": heads, "kv_num_heads": heads},
        dtype=v_BLHF.dtype, shape=(batch, length, heads * width), version=23,
    )  # fmt: skip
    return y_BLD.unflatten(-1, (heads, width))
