"""Attention of any module, read where its kernel is called: the softmax over keys, or a fused kernel's arguments.

Below every implementation stand a few operators; seen from there, biases, rotations and masks are all included.
Shape suffixes: B texts, H heads, Q queries, K keys.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

Scores = tuple[Float[Tensor, "B H Q K"], Float[Tensor, "B H Q K"]]  # logits before the softmax, weights after it

_ATEN: Any = torch.ops.aten
_SOFTMAX = (_ATEN._softmax.default, _ATEN._safe_softmax.default, _ATEN.softmax.int)
_FUSED = (
    _ATEN._scaled_dot_product_flash_attention_for_cpu.default, _ATEN._scaled_dot_product_flash_attention.default,
    _ATEN._scaled_dot_product_efficient_attention.default, _ATEN._scaled_dot_product_cudnn_attention.default,
)  # fmt: skip


class ScoreReader(TorchDispatchMode):
    """Collects `found[layer]` while `layer` is set, from so many texts that are `length` tokens wide."""

    def __init__(self, texts: int, length: int):
        super().__init__()
        self.texts, self.length = texts, length
        self.layer: int | None = None
        self.found: dict[int, list[Scores]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        output = func(*args, **kwargs)
        if self.layer is not None:
            seen = self._of_softmax(args, output) if func in _SOFTMAX else None
            if func in _FUSED:
                seen = _of_kernel(func, args, kwargs)
            if seen is not None:
                self.found.setdefault(self.layer, []).append(seen)
        return output

    def _of_softmax(self, args: Any, output: Any) -> Scores | None:
        logits, axis = args[0], args[1]
        if logits.dim() not in (3, 4) or axis not in (-1, logits.dim() - 1):
            return None
        if logits.shape[-2] != self.length or logits.shape[-1] < self.length or logits.shape[0] % self.texts:
            return None
        # Keys of short texts may have been filled up to a register's width.
        if not logits[..., self.length :].isneginf().all():
            return None
        logits, output = logits[..., : self.length], output[..., : self.length]
        # Some code folds texts and heads into one axis.
        shape = (self.texts, -1, self.length, self.length)
        return logits.detach().reshape(shape), output.detach().reshape(shape)


def _of_kernel(func: Any, args: Any, kwargs: Any) -> Scores:
    given = dict(zip((argument.name for argument in func._schema.arguments), args, strict=False)) | kwargs
    q, k = given["query"].detach(), given["key"].detach()
    scale = given.get("scale")
    logits = q @ k.transpose(-2, -1) * (q.shape[-1] ** -0.5 if scale is None else scale)
    bias = given.get("attn_mask", given.get("attn_bias"))
    if bias is not None:
        logits = logits.masked_fill(~bias, float("-inf")) if bias.dtype == torch.bool else logits + bias
    if given.get("is_causal"):
        seen = torch.ones(logits.shape[-2:], dtype=torch.bool, device=logits.device).tril()
        logits = logits.masked_fill(~seen, float("-inf"))
    return logits, logits.softmax(-1)
