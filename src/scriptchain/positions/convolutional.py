"""Convolutional positions: each token takes up a weighted sum of its neighbors.

x[t] + sum over o of weight[o] * x[t + o], o = -kernel // 2 .. kernel // 2, within the text; or with `mix`
x[t] + output gelu(sum over o of weight[o] x[t + o]), where `output` and each weight are matrices.
"""

from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ..errors import ConfigError
from ._positions import Positions
from ._protocol import PositionalEncoding, Size


@final
class Convolutional(PositionalEncoding):
    """A convolution over the tokens of a text, whatever pads stand between; it starts at 0, no positions.

    By default each channel sees its own neighbors; with `mix` all channels of the neighbors meet in
    (kernel + 1) x d_model x d_model numbers, so that a pair of words is a feature before any attention; `output` alone
    starts at 0 then. It sees the order of neighbors and no coordinate: position policies do not move it.

    *Raises*: ConfigError for a kernel that is even or below 3.
    *Source*: arXiv 2102.10882; through a GELU as in arXiv 2006.11477.
    """

    acts = "added to the stream"
    learns = "3 x d_model"
    direction_aware = True
    source = "arXiv 2102.10882"

    def __init__(self, size: Size, *, kernel: int = 3, mix: bool = False):
        super().__init__(size)
        if kernel < 3 or kernel % 2 == 0:
            raise ConfigError(f"kernel must be odd and at least 3, got {kernel}", hint="positions_options.kernel=3")
        width = size.d_model
        self.weight = nn.Parameter(torch.zeros(kernel, width, *([width] if mix else [])))
        self.output = nn.Parameter(torch.zeros(width, width)) if mix else None
        if mix:
            nn.init.normal_(self.weight, std=(3 * kernel * width) ** -0.5)

    def embed(self, x_TD: Float[Tensor, "*T D"], p: Positions) -> Float[Tensor, "*T D"]:
        exact = torch.promote_types(x_TD.dtype, torch.float32)
        front_BLD = x_TD.reshape(1, -1, x_TD.shape[-1]).to(exact) if p.packed else _to_front(x_TD.to(exact), p)
        kernel, reach = len(self.weight), len(self.weight) // 2
        wide_BLD = nn.functional.pad(front_BLD, (0, 0, reach, reach))
        neighbors = [wide_BLD.narrow(1, column, front_BLD.shape[1]) for column in range(kernel)]
        if p.packed:  # before and behind a text stand others, not zeros
            place = p.index.reshape(1, -1) + torch.arange(-reach, reach + 1, device=x_TD.device)[:, None, None]
            outside = ((place < 0) | (place >= p.length.reshape(1, -1))).unsqueeze(-1)
            neighbors = [one.masked_fill(far, 0) for one, far in zip(neighbors, outside, strict=True)]
        weight = self.weight.to(exact)
        if self.output is None:
            parts = [one * of_one for one, of_one in zip(neighbors, weight, strict=True)]
            added_BLD = sum(parts[1:], start=parts[0])
        else:  # one product, of the neighbors side by side
            added_BLD = nn.functional.gelu(torch.cat(neighbors, -1) @ weight.flatten(0, 1)) @ self.output.to(exact)
        if not p.packed:
            added_BLD = _taken(added_BLD, p.index)
        return x_TD + added_BLD.reshape(x_TD.shape).to(x_TD.dtype)

    @classmethod
    def num_parameters(cls, size: Size, *, kernel: int = 3, mix: bool = False) -> int:
        return (kernel + 1) * size.d_model**2 if mix else kernel * size.d_model


def _to_front(x_BLD: Float[Tensor, "B L D"], p: Positions) -> Float[Tensor, "B L D"]:
    """Real tokens in the first places of each row, 0 behind them."""
    slots = torch.arange(x_BLD.shape[1], device=x_BLD.device)
    # Where each comes from is scattered, as small numbers, and the tokens are gathered: they are many times as large.
    source = torch.zeros_like(p.index).scatter_add(1, p.index, torch.where(p.valid, slots, 0))
    return _taken(x_BLD, source).masked_fill((slots >= p.length).unsqueeze(-1), 0)


def _taken(x_BLD: Float[Tensor, "B L D"], slots_BL: Int[Tensor, "B L"]) -> Float[Tensor, "B L D"]:
    """Of each row the tokens at those slots."""
    rows = torch.arange(x_BLD.shape[0], device=x_BLD.device).unsqueeze(-1) * x_BLD.shape[1] + slots_BL
    return x_BLD.flatten(0, 1).index_select(0, rows.flatten()).view(x_BLD.shape)
