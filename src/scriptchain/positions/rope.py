"""Rotary positions: each pair of a head's channels turns by an angle that grows with the position.

q and k of token t are turned by t * w_c in channel pair c, so that their product depends on the distance alone.
Shape suffixes: T tokens, H heads, C pairs of channels that turn, E width of a head.
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
class Rope(PositionalEncoding):
    """Rotation of queries and keys by w_c = base^(-2c / width), computed in float32 at every call.

    `layout` "half" pairs channel c with c + width / 2, "interleaved" (the paper's) pairs 2c with 2c + 1; they differ
    by a permutation of channels, so weights cannot be moved between them as they are. `partial` is the share of a
    head's channels that turn at all (rounded down to pairs); `p` is the share of frequencies that is kept, from the
    highest, the rest being 0 (p-RoPE). `learnable` trains a factor of each frequency and head by its logarithm, which
    starts at 0: what a cast to a half type rounds is the change alone.
    `factor` stretches a trained model to texts that many times longer: with `scaling` "linear" (position
    interpolation) every angle is divided by it, with "ntk" the base grows so that the lowest frequency is divided by it
    and the highest is kept.

    *Raises*: ConfigError where no pair of channels is left, or for a scaling that does not exist or has no factor.
    *Source*: arXiv 2104.09864; p-RoPE arXiv 2410.06205; learned frequencies arXiv 2607.10134; linear scaling
    arXiv 2306.15595.
    """

    acts = "rotates queries and keys"
    every_layer = True
    direction_aware = True
    source = "arXiv 2104.09864"

    def __init__(
        self, size: Size, *, base: float = 10_000.0, layout: str = "half", partial: float = 1.0, p: float = 1.0,
        scaling: str = "none", factor: float = 1.0, learnable: bool = False,
    ):  # fmt: skip
        super().__init__(size)
        width = size.d_model // size.num_heads
        if layout not in ("half", "interleaved"):
            raise ConfigError(f"layout must be half or interleaved, got {layout!r}")
        checked_base(base)
        for name, share in (("partial", partial), ("p", p)):
            if not 0 < share <= 1:
                raise ConfigError(f"{name} must be in (0, 1], got {share}", hint=f"positions_options.{name}=1.0")
        self.pairs = int(width * partial) // 2
        if width % 2 or not self.pairs:
            raise ConfigError(
                f"the width of a head must be even with at least one pair that turns, got {width} at partial {partial}",
                hint="a num_heads that leaves d_model / num_heads even, positions_options.partial=1.0",
            )
        if scaling not in ("none", "linear", "ntk"):
            raise ConfigError(f"scaling must be none, linear or ntk, got {scaling!r}")
        if not 1 <= factor < float("inf") or (scaling == "none") != (factor == 1):
            raise ConfigError(f"factor must be above 1 with a scaling and 1 without, got {factor} with {scaling}",
                              hint="positions_options.scaling=linear, positions_options.factor=2")  # fmt: skip
        if scaling == "ntk" and self.pairs == 1:
            raise ConfigError("scaling must be none or linear where one pair of channels turns, got 'ntk'")
        self.layout = layout
        self.divisor = factor if scaling == "linear" else 1.0
        self.base = base * factor ** (self.pairs / (self.pairs - 1)) if scaling == "ntk" else base
        self.kept = max(1, round(self.pairs * p))  # the highest frequencies come first
        self.log_stretch = nn.Parameter(torch.zeros(size.num_heads, self.kept)) if learnable else None

    def rotate(
        self, q_THE: Float[Tensor, "*T H E"], k_THE: Float[Tensor, "*T H E"], p: Positions
    ) -> tuple[Float[Tensor, "*T H E"], Float[Tensor, "*T H E"]]:
        exact = torch.promote_types(q_THE.dtype, torch.float32)
        frequency = frequencies(self.base, self.kept, q_THE.device, torch.float64, of=self.pairs) / self.divisor
        frequency = frequency.unsqueeze(0).to(exact)
        if self.log_stretch is not None:
            frequency = frequency * self.log_stretch.to(exact).exp()
        frequency = nn.functional.pad(frequency, (0, self.pairs - self.kept))
        angle_THC = p.coordinate.to(exact)[..., None, None] * frequency
        cos_THC, sin_THC = angle_THC.cos().to(q_THE.dtype), angle_THC.sin().to(q_THE.dtype)
        return self._turn(q_THE, cos_THC, sin_THC), self._turn(k_THE, cos_THC, sin_THC)

    def _turn(
        self, x_THE: Float[Tensor, "*T H E"], cos_THC: Float[Tensor, "*T #H C"], sin_THC: Float[Tensor, "*T #H C"]
    ) -> Float[Tensor, "*T H E"]:
        turning, still = x_THE[..., : 2 * self.pairs], x_THE[..., 2 * self.pairs :]
        if self.layout == "half":
            a, b = turning.chunk(2, -1)
            return torch.cat([a * cos_THC - b * sin_THC, b * cos_THC + a * sin_THC, still], -1)
        a, b = turning[..., 0::2], turning[..., 1::2]
        turned = torch.stack([a * cos_THC - b * sin_THC, b * cos_THC + a * sin_THC], -1).flatten(-2)
        return torch.cat([turned, still], -1)
