"""The stack: tokens to embeddings, then blocks that ask the encoding of their layer for positions."""

from jaxtyping import Float, Int
from torch import Tensor, nn

from ..config import Config
from ..positions import Positions, Size, stack
from .block import Block
from .residual import RESIDUALS
from .trace import Trace


class Encoder(nn.Module):
    """`ids` of shape `(B, L)` or `(N,)` to a stream of shape `(B, L, d_model)` or `(N, d_model)`.

    *Raises*: ConfigError for positions that cannot work with this stack.
    """

    def __init__(self, config: Config, vocab_size: int):
        super().__init__()
        size = Size(config.d_model, config.num_heads, config.num_layers, config.max_seq_len, config.embedding_std)
        self.tokens = nn.Embedding(vocab_size, config.d_model)
        self.encodings = stack(config.positions, size, config.positions_options, shared=config.positions_shared)
        self.stem_norm = nn.LayerNorm(config.d_model) if config.embedding_norm else nn.Identity()
        self.dropout = nn.Dropout(config.dropout)
        self.layers = nn.ModuleList([Block(config) for _ in range(config.num_layers)])
        ends_normed = RESIDUALS[config.residual].normed_output
        self.final_norm = nn.Identity() if ends_normed else nn.LayerNorm(config.d_model)

    def forward(self, ids_T: Int[Tensor, "*T"], p: Positions, trace: Trace | None = None) -> Float[Tensor, "*T D"]:
        p = self.encodings.place(p)
        x_TD = self.tokens(ids_T)
        for number, layer in enumerate(self.layers):
            encoding = self.encodings[number]
            x_TD = encoding.embed(x_TD, p)
            if number == 0:
                x_TD = self.dropout(self.stem_norm(x_TD))
            scope = None
            if trace is not None:
                scope = trace.scope(f"layers.{number}")
                scope("input", x_TD)
            x_TD = layer(x_TD, p, encoding, scope)
        x_TD = self.final_norm(x_TD)
        if trace is not None:
            trace("output", x_TD)
        return x_TD
