"""DeBERTa's disentangled attention: a query meets vectors of the distance, and so does a key.

score[i, j] = (q[i] . k[j] + q[i] . key[j - i] + k[j] . query[j - i]) / sqrt(E).
"""

from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..errors import ConfigError
from ._bias import Bias, Profile
from ._positions import Positions
from ._protocol import PositionalEncoding, Size
from ._tables import at_distance


@final
class Deberta(PositionalEncoding):
    """Two tables of `2 reach + 1` vectors a head; both start at 0, which is no positions.

    The paper learns one table for all layers and projects it at each; ours learns each layer's tables as they come
    out of the projection. It divides by sqrt(3E) where ours divides by sqrt(E): the factor is one of the learned
    projections. All that is farther than `reach` shares the last vector of its side.

    *Raises*: ConfigError if `reach` is less than 1.
    *Source*: arXiv 2006.03654.
    """

    acts = "content by distance"
    every_layer = True
    learns = "130 x d_model"
    direction_aware = True
    encoder_form = "ours"
    source = "arXiv 2006.03654"

    def __init__(self, size: Size, *, reach: int = 32):
        super().__init__(size)
        if reach < 1:
            raise ConfigError(f"reach must be at least 1, got {reach}", hint="positions_options.reach=32")
        shape = (size.num_heads, size.d_model // size.num_heads, 2 * reach + 1)
        self.key = nn.Parameter(torch.zeros(shape))
        self.query = nn.Parameter(torch.zeros(shape))

    def bias(
        self, x_TD: Float[Tensor, "*T D"], q_THE: Float[Tensor, "*T H E"], k_THE: Float[Tensor, "*T H E"], p: Positions
    ) -> Bias:
        scale = q_THE.shape[-1] ** -0.5
        to_position = Profile(q_THE * scale, lambda delta: at_distance(self.key, delta), p)
        from_position = Profile(k_THE * scale, lambda delta: at_distance(self.query, delta), p, of="key")
        return to_position + from_position

    @classmethod
    def num_parameters(cls, size: Size) -> int:
        return 130 * size.d_model
