"""What a branch passes on its way to the stream: dropout, a scale by depth, a learned gain, branches left out whole.

Shape suffixes: T tokens `(B, L)` or `(N,)`, D d_model.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..config import Config
from ..positions import Positions
from .dropout import Dropout


class Damping(nn.Module):
    """One branch's output, of the same shape, made smaller in the ways that the config asks for; none by default.

    - `branch_scale`: times 1 / sqrt(num_layers), so that the sum of all branches has the size of one.
      *Source*: arXiv 2206.03126
    - `layer_scale`: times a gain that each channel learns, from this value. *Source*: arXiv 2103.17239
    - `stochastic_depth`: in training, left out for a whole text, with a probability that grows from 0 at the first
      layer to this at the last; what stays is divided by the share that stays. *Source*: arXiv 1603.09382
    """

    def __init__(self, config: Config, layer: int):
        super().__init__()
        self.dropout = Dropout(config.dropout)
        self.scale = config.num_layers**-0.5 if config.branch_scale == "inverse_sqrt_depth" else None
        gain = torch.full((config.d_model,), config.layer_scale) if config.layer_scale else None
        self.gain = None if gain is None else nn.Parameter(gain)
        self.left_out = config.stochastic_depth * layer / max(1, config.num_layers - 1)

    def forward(self, y_TD: Float[Tensor, "*T D"], p: Positions) -> Float[Tensor, "*T D"]:
        y_TD = self.dropout(y_TD)
        if self.scale is not None:
            y_TD = self.scale * y_TD
        if self.gain is not None:
            y_TD = self.gain * y_TD
        if self.training and self.left_out:
            y_TD = y_TD * self._kept(p).to(y_TD.dtype)
        return y_TD

    def _kept(self, p: Positions) -> Float[Tensor, "*T 1"]:
        """0 on texts that are left out, 1 / (share that stays) on others."""
        # A draw for each token is enough for each text, and the number of texts in a stream need not be asked for.
        draws = torch.rand(p.segment.numel(), device=p.segment.device)
        return (draws >= self.left_out).float()[p.segment].unsqueeze(-1) / (1 - self.left_out)
