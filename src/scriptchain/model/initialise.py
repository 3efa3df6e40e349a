"""All initial values of the encoder and head in one place; encodings and poolings draw their own.

Every layer draws its own values: a stack of copies would start as one layer applied many times.
"""

from torch import nn

from ..config import Config
from ..positions import PositionalEncoding
from .block import Block
from .head import AttentionPooling
from .residual import RESIDUALS


def initialise(module: nn.Module, config: Config) -> None:
    """Tokens from N(0, embedding_std); linear layers Xavier-uniform with zero bias; the last projection of each
    residual branch times `residual_scale`, all that carries a branch's values times what the form of `residual` asks.
    *Source*: Glorot and Bengio 2010."""
    own = {
        inner
        for part in module.modules()
        if isinstance(part, (PositionalEncoding, AttentionPooling))
        for inner in part.modules()
    }
    for part in module.modules():
        if part in own:
            continue
        if isinstance(part, nn.Linear):
            nn.init.xavier_uniform_(part.weight)
            nn.init.zeros_(part.bias)
        elif isinstance(part, nn.Embedding):
            nn.init.normal_(part.weight, std=config.embedding_std)
    gain = RESIDUALS[config.residual].branch_gain(config.num_layers)
    for part in module.modules():
        if isinstance(part, Block):
            values = part.attention.project.weight.data[2 * config.d_model :]  # queries and keys keep theirs
            for weight in (values, part.feedforward.expand.weight.data):
                weight.mul_(gain)
            for weight in (part.attention.output.weight.data, part.feedforward.output.weight.data):
                weight.mul_(gain * config.residual_scale)
