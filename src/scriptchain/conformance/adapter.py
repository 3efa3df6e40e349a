"""What a law needs of a module, and no more: one attention with the encoding inside, around which a probe classifies.

Shape suffixes: B batch, L length, N tokens of a stream, T `(B, L)` or `(N,)`, D d_model, H heads, E width of a head,
F any width.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int, Num
from torch import Tensor, nn

from ..attention import attend
from ..data.tokenizer import CLS
from ..model.head import MeanPooling
from ..positions import Bias, Dense, PositionalEncoding, Positions, Size
from .inputs import VOCAB, draw

CLASSES = 3


class NotAsked(Exception):  # noqa: N818 - it tells of a question, not of a fault
    """A law that cannot be asked, with the reason: neither a pass nor a failure."""


class Adapter(nn.Module, ABC):
    """One attention with somebody's encoding inside it; `outputs` is all that must be written.

    A submodule's parameters, casting and saving are those of `nn.Module`. What an adapter does not override is not
    asked of it. `size` says how it was built: `d_model`, `num_heads`, `max_seq_len`.
    """

    float64 = True  # False where parts of it are computed in float32 whatever it is cast to

    def __init__(self, size: Size):
        super().__init__()
        self.size = size
        # Not buffers: no cast rounds them, and no file holds them.
        self._projections = [draw(size.d_model, size.d_model, seed=seed, dtype=torch.float64) for seed in (11, 12, 13)]

    @abstractmethod
    def outputs(self, x_BLD: Float[Tensor, "B L D"], mask_BL: Bool[Tensor, "B L"]) -> Float[Tensor, "B L F"]:
        """The attention's output for each token; the mask is true on real tokens, pads may stand anywhere."""

    def outputs_at(
        self, x_BLD: Float[Tensor, "B L D"], mask_BL: Bool[Tensor, "B L"], coordinate_BL: Num[Tensor, "B L"]
    ) -> Float[Tensor, "B L F"]:
        """The same, for tokens at these coordinates in place of 0, 1, 2 ..."""
        raise NotAsked("it takes no coordinates")

    def outputs_packed(self, x_ND: Float[Tensor, "N D"], segment_N: Int[Tensor, "N"]) -> Float[Tensor, "N F"]:
        """The same, for texts one behind another; `segment` is the number of each token's text."""
        raise NotAsked("it takes no packed stream")

    def learned(self) -> Iterator[tuple[str, nn.Parameter]]:
        """The parameters that are the encoding's, by name; all of them unless an adapter knows better."""
        return self.named_parameters()

    def through(self, x_TD: Float[Tensor, "*T D"], p: Positions) -> Float[Tensor, "*T F"]:
        """The outputs at any positions, by the one of the three methods that can serve them."""
        if p.packed:
            return self.outputs_packed(x_TD.flatten(0, -2), p.segment.flatten()).unflatten(0, p.segment.shape)
        if p.coordinate is p.index:
            return self.outputs(x_TD, p.valid)
        return self.outputs_at(x_TD, p.valid, p.coordinate)

    def project(self, x_TD: Float[Tensor, "*T D"]) -> list[Float[Tensor, "*T H E"]]:
        """Queries, keys and values by fixed projections, for an encoding that comes without an attention."""
        heads = (self.size.num_heads, self.size.d_model // self.size.num_heads)
        return [(x_TD @ weight.to(x_TD.dtype)).unflatten(-1, heads) for weight in self._projections]

    def attend(
        self, q_THE: Tensor, k_THE: Tensor, v_THE: Tensor, p: Positions | Tensor, bias: Bias | Tensor | None = None
    ) -> Float[Tensor, "*T D"]:
        """Attention over the real tokens; `p` may be a mask, a bias a tensor `(1 or B, H, L, L)` of logits."""
        p = p if isinstance(p, Positions) else Positions.from_mask(p)
        bias = Dense(bias) if isinstance(bias, Tensor) else bias
        # The projections are standard normal: this keeps the spread of scores the same at every size.
        scale = 3.2 / (self.size.d_model * (self.size.d_model / self.size.num_heads) ** 0.5)
        return attend(q_THE, k_THE, v_THE, p, scale=scale, bias=bias).flatten(-2)


class OfEncoding(Adapter):
    """A PositionalEncoding inside one attention, its hooks called in the encoder's order."""

    def __init__(self, encoding: PositionalEncoding):
        super().__init__(encoding.size)
        self.encoding = encoding

    def outputs(self, x_BLD: Float[Tensor, "B L D"], mask_BL: Bool[Tensor, "B L"]) -> Float[Tensor, "B L F"]:
        return self.through(x_BLD, Positions.from_mask(mask_BL))

    def learned(self) -> Iterator[tuple[str, nn.Parameter]]:
        return self.encoding.named_parameters()

    def through(self, x_TD: Float[Tensor, "*T D"], p: Positions) -> Float[Tensor, "*T F"]:
        p = self.encoding.place(p)
        x_TD = self.encoding.embed(x_TD, p)
        q_THE, k_THE, v_THE = self.project(x_TD)
        bias = self.encoding.bias(x_TD, q_THE, k_THE, p)
        q_THE, k_THE = self.encoding.rotate(q_THE, k_THE, p)
        return self.attend(q_THE, k_THE, v_THE, p, bias)


def adapted(subject: PositionalEncoding | Adapter) -> Adapter:
    return OfEncoding(subject) if isinstance(subject, PositionalEncoding) else subject


@runtime_checkable
class Classifies(Protocol):
    """What the laws of logits are asked of: a network of ours, or a probe."""

    def __call__(self, ids: Tensor, mask: Tensor) -> Tensor: ...
    def classify(self, ids: Tensor, p: Positions) -> Tensor: ...
    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]: ...
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state_dict: dict[str, Any]) -> Any: ...


class Probe(nn.Module):
    """The smallest classifier around an adapter: tokens, one attention, the mean of the real tokens, logits."""

    def __init__(self, adapter: Adapter):
        super().__init__()
        self.adapter = adapter
        self.tokens = nn.Parameter(draw(VOCAB, adapter.size.d_model, seed=21))

    def forward(self, ids: Int[Tensor, "B L"], mask: Bool[Tensor, "B L"]) -> Float[Tensor, "B C"]:
        return self.classify(ids, Positions.from_mask(mask, special=ids == CLS))

    def classify(self, ids: Int[Tensor, "*T"], p: Positions) -> Float[Tensor, "texts C"]:
        y_TF = self.adapter.through(self.tokens[ids], p)
        y_BLF, valid = (p.layout.pad(y_TF), p.layout.positions.valid) if p.packed else (y_TF, p.valid)
        pooled_BF = MeanPooling()(y_BLF, valid)
        width = pooled_BF.shape[-1]
        # Sines of whole numbers are as good as drawn, and need no generator, which no graph can hold.
        head_FC = torch.arange(1, width * CLASSES + 1, dtype=pooled_BF.dtype).sin().view(width, CLASSES)
        return pooled_BF @ head_FC / width**0.5
