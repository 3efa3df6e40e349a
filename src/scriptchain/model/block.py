"""One layer: self-attention and a feed-forward network, each a residual branch.

Shape suffixes: T tokens `(B, L)` or `(N,)`, D d_model, H heads, E width of a head.
"""

from jaxtyping import Float
from torch import Tensor, nn

from ..attention import attend
from ..config import Config
from ..positions import PositionalEncoding, Positions
from ..positions._positions import readable
from .damping import Damping
from .dropout import Dropout
from .linear import Linear
from .residual import RESIDUALS
from .trace import Trace

ACTIVATIONS = {"relu": nn.ReLU, "gelu": nn.GELU}


class SelfAttention(nn.Module):
    """Multi-head self-attention that calls the encoding's `bias` and `rotate` at every layer.

    Of a stream the projections see real tokens alone; between them stands a padded batch, unless most of it were pads.

    With `qk_norm` a head's queries and keys are normed before, so that no projection can make the logits sharp.
    *Source*: arXiv 2010.04245, 2302.05442.
    """

    def __init__(self, config: Config):
        super().__init__()
        width = config.d_model // config.num_heads
        self.num_heads = config.num_heads
        self.scale = width**-0.5
        self.dropout = config.dropout
        self.project = Linear(config.d_model, 3 * config.d_model)
        self.output = Linear(config.d_model, config.d_model)
        self.query_norm = nn.LayerNorm(width, bias=False) if config.qk_norm else nn.Identity()
        self.key_norm = nn.LayerNorm(width, bias=False) if config.qk_norm else nn.Identity()

    def forward(
        self, x_TD: Float[Tensor, "*T D"], p: Positions, encoding: PositionalEncoding, trace: Trace | None = None
    ) -> Float[Tensor, "*T D"]:
        qkv_TD, layout, shape = self.project(x_TD), None, x_TD.shape
        if p.packed and trace is None and readable(p.valid) and p.layout.worthwhile:
            layout, p = p.layout, p.layout.positions
            x_TD, qkv_TD = layout.pad(x_TD), layout.pad(qkv_TD)
        q_THE, k_THE, v_THE = (t.unflatten(-1, (self.num_heads, -1)) for t in qkv_TD.chunk(3, -1))
        q_THE, k_THE = self.query_norm(q_THE), self.key_norm(k_THE)
        bias = encoding.bias(x_TD, q_THE, k_THE, p)
        q_THE, k_THE = encoding.rotate(q_THE, k_THE, p)
        dropout = self.dropout if self.training else 0.0
        y_THE = attend(q_THE, k_THE, v_THE, p, scale=self.scale, bias=bias, dropout=dropout, trace=trace)
        y_TD = y_THE.flatten(-2)
        return self.output(y_TD if layout is None else layout.take(y_TD).view(shape))


class FeedForward(nn.Module):
    """Two linear layers with an activation between them, on every token alone."""

    def __init__(self, config: Config):
        super().__init__()
        self.expand = Linear(config.d_model, config.d_feedforward)
        self.activation = ACTIVATIONS[config.activation]()
        self.dropout = Dropout(config.dropout)
        self.output = Linear(config.d_feedforward, config.d_model)

    def forward(self, x_TD: Float[Tensor, "*T D"]) -> Float[Tensor, "*T D"]:
        return self.output(self.dropout(self.activation(self.expand(x_TD))))


class Block(nn.Module):
    """One layer of the stack; `layer` is its number, from 0, which `stochastic_depth` alone asks for."""

    def __init__(self, config: Config, layer: int = 0):
        super().__init__()
        residual = RESIDUALS[config.residual]
        self.attention = SelfAttention(config)
        self.feedforward = FeedForward(config)
        self.damp_attention = Damping(config, layer)
        self.damp_feedforward = Damping(config, layer)
        self.join_attention = residual(config)
        self.join_feedforward = residual(config)

    def forward(
        self, x_TD: Float[Tensor, "*T D"], p: Positions, encoding: PositionalEncoding, trace: Trace | None = None
    ) -> Float[Tensor, "*T D"]:
        inner = None if trace is None else trace.scope("attention")
        x_TD = self.join_attention(x_TD, lambda x: self.damp_attention(self.attention(x, p, encoding, inner), p))
        if trace is not None:
            trace("after_attention", x_TD)
        x_TD = self.join_feedforward(x_TD, lambda x: self.damp_feedforward(self.feedforward(x), p))
        if trace is not None:
            trace("output", x_TD)
        return x_TD
