"""One layer: self-attention and a feed-forward network, each a residual branch.

Shape suffixes: T tokens `(B, L)` or `(N,)`, D d_model, H heads, E width of a head.
"""

from jaxtyping import Float
from torch import Tensor, nn

from ..attention import attend
from ..config import Config
from ..positions import PositionalEncoding, Positions
from .residual import RESIDUALS
from .trace import Trace

ACTIVATIONS = {"relu": nn.ReLU, "gelu": nn.GELU}


class SelfAttention(nn.Module):
    """Multi-head self-attention that calls the encoding's `bias` and `rotate` at every layer."""

    def __init__(self, d_model: int, num_heads: int, dropout: float):
        super().__init__()
        self.num_heads = num_heads
        self.scale = (d_model // num_heads) ** -0.5
        self.dropout = dropout
        self.project = nn.Linear(d_model, 3 * d_model)
        self.output = nn.Linear(d_model, d_model)

    def forward(
        self, x_TD: Float[Tensor, "*T D"], p: Positions, encoding: PositionalEncoding, trace: Trace | None = None
    ) -> Float[Tensor, "*T D"]:
        q_THE, k_THE, v_THE = self.project(x_TD).unflatten(-1, (3, self.num_heads, -1)).unbind(-3)
        bias = encoding.bias(x_TD, q_THE, k_THE, p)
        q_THE, k_THE = encoding.rotate(q_THE, k_THE, p)
        dropout = self.dropout if self.training else 0.0
        y_THE = attend(q_THE, k_THE, v_THE, p, scale=self.scale, bias=bias, dropout=dropout, trace=trace)
        return self.output(y_THE.flatten(-2))


class FeedForward(nn.Module):
    """Two linear layers with an activation between them, on every token alone."""

    def __init__(self, d_model: int, d_feedforward: int, activation: str, dropout: float):
        super().__init__()
        self.expand = nn.Linear(d_model, d_feedforward)
        self.activation = ACTIVATIONS[activation]()
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(d_feedforward, d_model)

    def forward(self, x_TD: Float[Tensor, "*T D"]) -> Float[Tensor, "*T D"]:
        return self.output(self.dropout(self.activation(self.expand(x_TD))))


class Block(nn.Module):
    """One layer of the stack."""

    def __init__(self, config: Config):
        super().__init__()
        residual = RESIDUALS[config.residual]
        self.attention = SelfAttention(config.d_model, config.num_heads, config.dropout)
        self.feedforward = FeedForward(config.d_model, config.d_feedforward, config.activation, config.dropout)
        self.join_attention = residual(config.d_model, config.dropout)
        self.join_feedforward = residual(config.d_model, config.dropout)

    def forward(
        self, x_TD: Float[Tensor, "*T D"], p: Positions, encoding: PositionalEncoding, trace: Trace | None = None
    ) -> Float[Tensor, "*T D"]:
        inner = None if trace is None else trace.scope("attention")
        x_TD = self.join_attention(x_TD, lambda x: self.attention(x, p, encoding, inner))
        if trace is not None:
            trace("after_attention", x_TD)
        x_TD = self.join_feedforward(x_TD, self.feedforward)
        if trace is not None:
            trace("output", x_TD)
        return x_TD
