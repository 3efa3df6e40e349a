"""Encodings and attentions that are wrong on purpose, each in one way that has been seen in the field.

test_teeth.py holds every law against them.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from scriptchain.attention import attend
from scriptchain.positions import Dense, PositionalEncoding, Positions, Size


def waves(t: Tensor, width: int) -> Tensor:
    frequency = 100.0 ** (torch.arange(width // 2, dtype=torch.float32) / -(width // 2))
    angle = t.unsqueeze(-1).float() * frequency
    return torch.cat([angle.sin(), angle.cos()], -1)


class WithTable(PositionalEncoding):
    def __init__(self, size: Size):
        super().__init__(size)
        self.table = nn.Parameter(torch.linspace(-1, 1, size.max_seq_len * size.d_model).sin().view(-1, size.d_model))


class Stateless(PositionalEncoding):
    """Nothing is wrong with it: the waves of each token's own index."""

    acts = "added to the stream"
    source = "no paper"

    def embed(self, x, p):
        return x + waves(p.coordinate, x.shape[-1]).to(x.dtype)


class OneDraw(PositionalEncoding):
    """A policy whose texts are all shifted alike."""

    def place(self, p):
        return p.at(p.coordinate + torch.randint(1_000, ())) if self.training else p


class DrawsAlways(PositionalEncoding):
    """A policy that draws outside training too."""

    def place(self, p):
        shift = torch.randint(1_000, (int(p.segment.max()) + 1,))
        return p.at(p.coordinate + shift[p.segment])


class Overtakes(PositionalEncoding):
    """A policy that jitters tokens past each other."""

    def place(self, p):
        return p.at(p.coordinate + 50 * torch.rand(p.coordinate.shape)) if self.training else p


class RawColumn(PositionalEncoding):
    """Reads the number of the column, so that a pad on the left moves the text."""

    def embed(self, x, p):
        return x + waves(torch.arange(x.shape[-2]), x.shape[-1])


class SeesPads(PositionalEncoding):
    """A mean over all columns, pads among them."""

    def embed(self, x, p):
        return x + x.mean(-2, keepdim=True)


class KeptByLength(PositionalEncoding):
    """What was computed for the first batch of a shape serves every other batch of that shape."""

    def __init__(self, size: Size):
        super().__init__(size)
        self.kept: dict[torch.Size, Tensor] = {}

    def embed(self, x, p):
        return x + self.kept.setdefault(x.shape, waves(p.coordinate, x.shape[-1]))


class Detached(WithTable):
    """The table is used, and never learns."""

    def embed(self, x, p):
        return x + self.table.detach()[p.coordinate.long()]


class Clipped(WithTable):
    """All that is far shares one row: the rows behind it never learn."""

    def embed(self, x, p):
        return x + self.table[p.coordinate.long().clamp(max=3)]


class Idle(WithTable):
    """A parameter that nothing reads."""


class Unseen(PositionalEncoding):
    """A number a head that is the same for all keys, so that the softmax does not see it."""

    def __init__(self, size: Size):
        super().__init__(size)
        self.constant = nn.Parameter(torch.ones(size.num_heads))

    def bias(self, x, q, k, p):
        return Dense(self.constant[:, None, None] * p.valid[:, None, :, None] * p.valid[:, None, None, :])


class _Doubled(torch.autograd.Function):
    @staticmethod
    def forward(context, x):
        return x.clone()

    @staticmethod
    def backward(context, gradient):
        return 2 * gradient


class WrongGradient(WithTable):
    """A backward of its own that is not the derivative."""

    def embed(self, x, p):
        return x + _Doubled.apply(self.table)[p.coordinate.long()]


class HalfAngles(PositionalEncoding):
    """Angles in the stream's number type."""

    def embed(self, x, p):
        frequency = (10_000.0 ** (torch.arange(x.shape[-1] // 2) / -(x.shape[-1] // 2))).to(x.dtype)
        angle = p.coordinate.unsqueeze(-1).to(x.dtype) * frequency
        return x + torch.cat([angle.sin(), angle.cos()], -1)


class CastBuffer(PositionalEncoding):
    """Frequencies in a buffer, which `.to(bfloat16)` rounds."""

    def __init__(self, size: Size):
        super().__init__(size)
        half = size.d_model // 2
        self.register_buffer("frequency", 10_000.0 ** (torch.arange(half) / -half))

    def embed(self, x, p):
        angle = p.coordinate.unsqueeze(-1).float() * self.frequency.float()
        return x + torch.cat([angle.sin(), angle.cos()], -1).to(x.dtype)


class HalfRow(WithTable):
    """The number of the row in the stream's number type: 257 is 256."""

    def embed(self, x, p):
        row = p.coordinate.to(x.dtype).long().clamp(max=len(self.table) - 1)
        return x + self.table[row].to(x.dtype)


class Symmetric(PositionalEncoding):
    """A bias of the distance alone."""

    def bias(self, x, q, k, p):
        distance = (p.coordinate[:, :, None] - p.coordinate[:, None, :]).abs()
        return Dense(-distance[:, None].expand(-1, self.size.num_heads, -1, -1).to(x.dtype))


class OffByOne(PositionalEncoding):
    """The waves start at 1."""

    def embed(self, x, p):
        return x + waves(p.coordinate + 1, x.shape[-1]).to(x.dtype)


class MirroredBias(PositionalEncoding):
    """A learned-looking bias of j - i where the paper has i - j."""

    def bias(self, x, q, k, p):
        delta = p.coordinate[:, None, :] - p.coordinate[:, :, None]
        return Dense(delta[:, None].expand(-1, self.size.num_heads, -1, -1).to(x.dtype))


class Promotes(PositionalEncoding):
    """float32 comes out, whatever went in."""

    def embed(self, x, p):
        return x + waves(p.coordinate, x.shape[-1])


class Flattens(PositionalEncoding):
    def embed(self, x, p):
        return x.flatten(0, -2)


class OneSideWider(PositionalEncoding):
    """Queries grow and keys do not."""

    def rotate(self, q, k, p):
        return torch.cat([q, q], -1), k


class HeadlessBias(PositionalEncoding):
    """One table for all heads, without an axis for them."""

    def bias(self, x, q, k, p):
        length = p.valid.numel() if p.packed else p.valid.shape[-1]
        return Dense(torch.zeros(1, 1, length, length))


class Unsaved(PositionalEncoding):
    """Numbers that no state dict knows."""

    def __init__(self, size: Size, seed: int = 0):
        super().__init__(size)
        self.table = torch.randn(size.max_seq_len, size.d_model, generator=torch.Generator().manual_seed(seed))

    def embed(self, x, p):
        return x + self.table[p.coordinate]


class SizedBuffer(PositionalEncoding):
    """Waves of max_seq_len positions in a saved buffer, and none beyond."""

    def __init__(self, size: Size):
        super().__init__(size)
        self.register_buffer("table", waves(torch.arange(size.max_seq_len), size.d_model))

    def embed(self, x, p):
        return x + self.table[p.coordinate.clamp(max=len(self.table) - 1)]


class RescaledByLength(PositionalEncoding):
    """Coordinates as a share of the length that the model was built for."""

    def embed(self, x, p):
        return x + waves(p.coordinate / self.size.max_seq_len, x.shape[-1])


class Miscounted(WithTable):
    learns = "a table"

    @classmethod
    def num_parameters(cls, size):
        return size.max_seq_len


class Frozen(WithTable):
    learns = "a table"

    def __init__(self, size: Size):
        super().__init__(size)
        self.table.requires_grad_(False)

    @classmethod
    def num_parameters(cls, size):
        return size.max_seq_len * size.d_model


class BranchesOnLength(PositionalEncoding):
    """Two graphs: one for short texts and one for long ones."""

    def embed(self, x, p):
        return x + 1 if x.shape[1] > 6 else x + 2


class AsksTheDevice(PositionalEncoding):
    """A Python number out of a tensor ends the graph."""

    def embed(self, x, p):
        return x + 1 if int(p.coordinate.max()) > 6 else x + 2


UNCOMPILED = [BranchesOnLength, AsksTheDevice]


def attend_all_keys(q, k, v, p: Positions, **how: Any) -> Tensor:
    """Pads are keys as any other."""
    return attend(q, k, v, replace(p, valid=torch.ones_like(p.valid)), **how)


def attend_no_empty(q, k, v, p: Positions, **how: Any) -> Tensor:
    """A text without tokens divides zero by zero."""
    y = attend(q, k, v, p, **how)
    return torch.where(p.valid.any(1)[:, None, None, None], y, torch.nan)


def attend_one_segment(q, k, v, p: Positions, **how: Any) -> Tensor:
    """Packed texts see each other."""
    return attend(q, k, v, replace(p, segment=torch.zeros_like(p.segment)) if p.packed else p, **how)


def attend_transposed(q, k, v, p: Positions, *, bias=None, **how: Any) -> Tensor:
    """Keys by queries."""
    turned = None if bias is None else Dense(bias.dense().transpose(-1, -2))
    return attend(q, k, v, p, bias=turned, **how)


def attend_bias_before_scale(q, k, v, p: Positions, *, scale, bias=None, **how: Any) -> Tensor:
    scaled = None if bias is None else Dense(bias.dense() * scale)
    return attend(q, k, v, p, scale=scale, bias=scaled, **how)


def attend_scale_of_width(q, k, v, p: Positions, *, scale, **how: Any) -> Tensor:
    """Takes the scale from the queries that it sees, whatever it was told."""
    return attend(q, k, v, p, scale=q.shape[-1] ** -0.5, **how)


def attend_fused_detaches_bias(q, k, v, p: Positions, *, bias=None, backend="auto", **how: Any) -> Tensor:
    """A kernel that knows the bias forward and forgets it backward."""
    if backend == "fused" and bias is not None:
        bias = Dense(bias.dense().detach() + 0 * bias.dense())
    return attend(q, k, v, p, bias=bias, backend=backend, **how)


def attend_fused_forgets_bias(q, k, v, p: Positions, *, bias=None, backend="auto", **how: Any) -> Tensor:
    bias = Dense(0 * bias.dense()) if backend == "fused" and bias is not None else bias
    return attend(q, k, v, p, bias=bias, backend=backend, **how)


def attend_traces_logits(q, k, v, p: Positions, *, trace: Callable[[str, Tensor], None] | None = None, **how) -> Tensor:
    """The trace's weights are not what the values were weighted with."""
    other = None if trace is None else lambda name, tensor: trace(name, tensor * 0.5)
    return attend(q, k, v, p, trace=other, **how)


def attend_traced_differs(q, k, v, p: Positions, *, scale, trace=None, **how: Any) -> Tensor:
    return attend(q, k, v, p, scale=scale if trace is None else 2 * scale, trace=trace, **how)
