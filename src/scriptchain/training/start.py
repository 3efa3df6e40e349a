"""Where the weights come from before training: drawn anew, or from somebody's trained ones. One way a class.

`tokenizer(texts)` is the vocabulary for these training texts, `fill(network, tokenizer)` sets the initial weights.
"""

from collections.abc import Sequence

from ..config import Config
from ..data.tokenizer import Tokenizer
from ..model.pipeline import Network
from .backbone import Backbone
from .static import Static


class Scratch:
    """A vocabulary of these texts, and the weights as the network drew them."""

    def __init__(self, config: Config):
        self.config = config

    def tokenizer(self, texts: Sequence[str]) -> Tokenizer:
        config = self.config
        return Tokenizer.train(
            texts, kind=config.tokenizer, vocab_size=config.vocab_size, min_frequency=config.min_frequency,
            lowercase=config.lowercase, max_seq_len=config.max_seq_len, with_cls=config.starts_with_cls,
        )  # fmt: skip

    def fill(self, network: Network, tokenizer: Tokenizer) -> None:
        pass


def start_of(config: Config) -> Scratch | Static | Backbone:
    """What `init` names. Raises ConfigError or ModelError where it cannot be read or does not fit."""
    if "backbone" in config.init:
        return Backbone(config)
    return Static(config) if "embeddings" in config.init else Scratch(config)
