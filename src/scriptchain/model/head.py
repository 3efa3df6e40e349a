"""From a stream of tokens to one vector a text, and from there to logits."""

from itertools import pairwise

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ..config import Config
from ..positions import Positions
from .block import ACTIVATIONS
from .dropout import Dropout


class MeanPooling(nn.Module):
    """The mean of the real tokens."""

    def forward(self, x_BLD: Float[Tensor, "B L D"], valid: Bool[Tensor, "B L"]) -> Float[Tensor, "B D"]:
        kept = valid.unsqueeze(-1)
        return x_BLD.masked_fill(~kept, 0).sum(1) / kept.sum(1).clamp(min=1)


class MaxPooling(nn.Module):
    """The greatest value of each channel among the real tokens; 0 for a text without any. *Source*: arXiv 1408.5882."""

    def forward(self, x_BLD: Float[Tensor, "B L D"], valid: Bool[Tensor, "B L"]) -> Float[Tensor, "B D"]:
        greatest = x_BLD.masked_fill(~valid.unsqueeze(-1), torch.finfo(x_BLD.dtype).min).amax(1)
        return greatest.masked_fill(~valid.any(1, keepdim=True), 0)


class ClsPooling(nn.Module):
    """The first real token, which is [CLS]."""

    def forward(self, x_BLD: Float[Tensor, "B L D"], valid: Bool[Tensor, "B L"]) -> Float[Tensor, "B D"]:
        first = valid.long().argmax(1)
        return x_BLD.gather(1, first[:, None, None].expand(-1, 1, x_BLD.shape[-1])).squeeze(1)


class AttentionPooling(nn.Module):
    """A learned weighted mean of the real tokens; it starts as the plain mean. *Source*: arXiv 1703.03130."""

    def __init__(self, d_model: int):
        super().__init__()
        self.score = nn.Linear(d_model, 1)
        nn.init.zeros_(self.score.weight)
        nn.init.zeros_(self.score.bias)

    def forward(self, x_BLD: Float[Tensor, "B L D"], valid: Bool[Tensor, "B L"]) -> Float[Tensor, "B D"]:
        scores = self.score(x_BLD).squeeze(-1).masked_fill(~valid, torch.finfo(x_BLD.dtype).min)
        return (scores.softmax(1).unsqueeze(-1) * x_BLD.masked_fill(~valid.unsqueeze(-1), 0)).sum(1)


class Head(nn.Module):
    """Masked pooling, then an MLP (`head_layers`, none by default) to logits of shape `(texts, num_classes)`."""

    def __init__(self, config: Config, num_classes: int):
        super().__init__()
        width = config.d_model * config.pooled_layers
        poolings = {
            "mean": MeanPooling, "max": MaxPooling, "cls": ClsPooling,
            "attention": lambda: AttentionPooling(width),
        }  # fmt: skip
        self.pooling = poolings[config.pooling]()
        widths = [width, *config.head_layers]
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Linear(before, after), ACTIVATIONS[config.activation](), Dropout(config.dropout)]
        self.mlp = nn.Sequential(Dropout(config.dropout), *layers, nn.Linear(widths[-1], num_classes))

    def forward(self, x_TE: Float[Tensor, "*T E"], p: Positions) -> Float[Tensor, "texts C"]:
        if p.packed:
            x_TE, p = p.layout.pad(x_TE), p.layout.positions
        return self.mlp(self.pooling(x_TE, p.valid))
