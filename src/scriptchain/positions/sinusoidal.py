"""Sinusoidal positions: sines and cosines of geometrically spaced wavelengths, added to the stream.

x[t] + [sin(t w_0) .. sin(t w_n), cos(t w_0) .. cos(t w_n)] with w_k = base^(-2k / d_model).
"""

from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..errors import ConfigError
from ._positions import Positions
from ._protocol import PositionalEncoding, Size
from ._waves import checked_base, frequencies


@final
class Sinusoidal(PositionalEncoding):
    """Fixed waves, computed from the coordinate in float32 at every call, so that no length is out of reach.

    `scale` multiplies the waves, each of unit amplitude; unless given it is the tokens' own, `embedding_std`: unit
    waves drown small tokens. `learnable` trains its logarithm. `layout` "half" puts sines in the first half of the
    width and cosines in the second, "interleaved" (the paper's) has them in turn; the columns are the same.

    *Raises*: ConfigError for an odd d_model, a layout that does not exist or a base or scale out of range.
    *Source*: arXiv 1706.03762.
    """

    acts = "added to the stream"
    shift_invariant = False
    direction_aware = True
    source = "arXiv 1706.03762"

    def __init__(
        self, size: Size, *, base: float = 10_000.0, scale: float | None = None, layout: str = "half",
        learnable: bool = False,
    ):  # fmt: skip
        super().__init__(size)
        scale = size.embedding_std if scale is None else scale
        if size.d_model % 2:
            raise ConfigError(f"d_model must be even for sinusoidal positions, got {size.d_model}")
        if not 0 < scale < float("inf"):
            raise ConfigError(f"scale must be a positive number, got {scale}", hint="positions_options.scale=1.0")
        if layout not in ("half", "interleaved"):
            raise ConfigError(f"layout must be half or interleaved, got {layout!r}")
        self.base, self.scale, self.layout = checked_base(base), scale, layout
        self.log_scale = nn.Parameter(torch.tensor([scale]).log()) if learnable else None

    def embed(self, x_TD: Float[Tensor, "*T D"], p: Positions) -> Float[Tensor, "*T D"]:
        half = self.size.d_model // 2
        exact = torch.promote_types(x_TD.dtype, torch.float32)
        angle = p.coordinate.unsqueeze(-1).to(exact) * frequencies(self.base, half, x_TD.device, exact)
        sin, cos = angle.sin(), angle.cos()
        waves = torch.cat([sin, cos], -1) if self.layout == "half" else torch.stack([sin, cos], -1).flatten(-2)
        scale = self.scale if self.log_scale is None else self.log_scale.to(waves.dtype).exp()
        return x_TD + (scale * waves).to(x_TD.dtype)
