"""Forgetting attention: what lies between two tokens decides how much of the one reaches the other.

bias[h, i, j] = sum of ln f[h, l] over the tokens l between, f = sigmoid(W x + b), one gate a head and side.
"""

from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ._bias import Bias, Cumulative
from ._positions import Positions
from ._protocol import PositionalEncoding, Size
from ._slopes import one_sided_slopes


@final
class Forgetting(PositionalEncoding):
    """Gates read from the stream: penalties as ALiBi's whose slope each passed token sets itself.

    The paper's form is causal; ours has gates of their own for keys to the left and to the right. `gates` starts with
    weights of 0 and biases at which the penalties are exactly those of `alibi`, where the paper starts near 0 decay.
    It counts tokens passed and reads no coordinate, so position policies do not move it.

    *Source*: arXiv 2503.02130.
    """

    acts = "content by distance"
    every_layer = True
    learns = "2 x (d_model + 1) x num_heads"
    direction_aware = True
    encoder_form = "ours"
    source = "arXiv 2503.02130"

    def __init__(self, size: Size):
        super().__init__(size)
        self.gates = nn.Linear(size.d_model, 2 * size.num_heads)
        with torch.no_grad():
            nn.init.zeros_(self.gates.weight)
            self.gates.bias.copy_(-one_sided_slopes(size.num_heads).double().expm1().log().T.flatten())

    def bias(
        self, x_TD: Float[Tensor, "*T D"], q_THE: Float[Tensor, "*T H E"], k_THE: Float[Tensor, "*T H E"], p: Positions
    ) -> Bias:
        exact = torch.promote_types(x_TD.dtype, torch.float32)
        raw = nn.functional.linear(x_TD.to(exact), self.gates.weight.to(exact), self.gates.bias.to(exact))
        left, right = nn.functional.logsigmoid(raw).chunk(2, -1)
        return Cumulative(left, right, p)

    @classmethod
    def num_parameters(cls, size: Size) -> int:
        return 2 * (size.d_model + 1) * size.num_heads
