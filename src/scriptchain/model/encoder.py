"""The stack: tokens to embeddings, then blocks that ask the encoding of their layer for positions."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ..config import Config
from ..positions import Positions, Size, stack
from .block import Block
from .dropout import Dropout
from .reinjection import Reinjection, check_that_it_adds
from .residual import RESIDUALS
from .trace import Trace


class Encoder(nn.Module):
    """`ids` of shape `(B, L)` or `(N,)` to a stream of shape `(B, L, E)` or `(N, E)`, E = d_model * pooled_layers.

    Those of the pooled layers stand side by side, the last layer's behind the others.

    *Raises*: ConfigError for positions that cannot work with this stack.
    """

    def __init__(self, config: Config, vocab_size: int):
        super().__init__()
        size = Size(config.d_model, config.num_heads, config.num_layers, config.max_seq_len, config.embedding_std)
        self.tokens = nn.Embedding(vocab_size, config.d_model)
        self.encodings = stack(config.positions, size, config.positions_options, shared=config.positions_shared)
        self.stem_norm = nn.LayerNorm(config.d_model, config.norm_eps) if config.embedding_norm else nn.Identity()
        self.dropout = Dropout(config.dropout)
        self.layers = nn.ModuleList([Block(config, number) for number in range(config.num_layers)])
        if config.positions_reinjected:
            check_that_it_adds(self.encodings[0], config.positions)
        later = config.num_layers - 1 if config.positions_reinjected else 0
        self.reinjections = nn.ModuleList([Reinjection(config) for _ in range(later)])
        ends_normed = RESIDUALS[config.residual].normed_output
        # Every so many layers, counted from 1.
        self.pooled = [-(-config.num_layers * n // config.pooled_layers) for n in range(1, config.pooled_layers + 1)]
        self.final_norm = nn.Identity() if ends_normed else nn.LayerNorm(config.d_model, config.norm_eps)

    def forward(self, ids_T: Int[Tensor, "*T"], p: Positions, trace: Trace | None = None) -> Float[Tensor, "*T E"]:
        p = self.encodings.place(p)
        tokens_TD = self.tokens(ids_T)
        x_TD = self.encodings[0].embed(tokens_TD, p)
        added_TD = x_TD - tokens_TD if self.reinjections else None
        x_TD = self.dropout(self.stem_norm(x_TD))
        pooled = []
        for number, layer in enumerate(self.layers):
            encoding = self.encodings[number]
            if number > 0:
                x_TD = encoding.embed(x_TD, p)
                if added_TD is not None:
                    x_TD = self.reinjections[number - 1](x_TD, added_TD)
            scope = None
            if trace is not None:
                scope = trace.scope(f"layers.{number}")
                scope("input", x_TD)
            x_TD = layer(x_TD, p, encoding, scope)
            if number + 1 in self.pooled:
                pooled.append(self.final_norm(x_TD))
        if trace is not None:
            trace("output", pooled[-1])
        return torch.cat(pooled, -1) if len(pooled) > 1 else pooled[0]
