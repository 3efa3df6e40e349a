"""A trained BERT as the start of our encoder: the same computation, so its weights are copied to their places.

Its vocabulary is cut down to the training texts and a reserve, its first `num_layers` layers are taken. With other
`positions` than `learned` all but its positions is taken. *Source*: arXiv 1810.04805; MiniLM, arXiv 2002.10957.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..config import Config
from ..data.tokenizer import Tokenizer
from ..errors import ConfigError, ModelError
from ..model.block import Block
from ..model.pipeline import Network
from ..positions.learned import Learned
from ..runtime import tensors
from .pretrained import Pretrained

# Config keys of ours by BERT's; those without one have the only value that computes the same.
SHAPE = {"d_model": "hidden_size", "num_heads": "num_attention_heads", "d_feedforward": "intermediate_size",
         "activation": "hidden_act", "norm_eps": "layer_norm_eps"}  # fmt: skip
SAME = {"tokenizer": "wordpiece", "residual": "post_norm", "embedding_norm": True, "qk_norm": False,
        "branch_scale": "none", "layer_scale": 0.0}  # fmt: skip


class Backbone:
    """Raises ConfigError for a config that is not the backbone's; ModelError for a folder that is no BERT."""

    def __init__(self, config: Config):
        self.config, self.given = config, Pretrained("backbone", config.init["backbone"])
        theirs = self.given.config
        if theirs.get("model_type") != "bert" or theirs.get("position_embedding_type", "absolute") != "absolute":
            raise ModelError(
                f"init.backbone {self.given.name!r} must be a BERT with absolute positions, got "
                f"{str(theirs.get('model_type'))[:40]!r}"
            )
        normalizer = self.given.tokenizer.get("normalizer") or {}
        if self.given.tokenizer["model"].get("type") != "WordPiece" or normalizer.get("type") != "BertNormalizer":
            raise ModelError(f"init.backbone {self.given.name!r} must have BERT's word pieces, got another tokenizer")
        wanted = {key: theirs.get(name) for key, name in SHAPE.items()} | SAME
        self._refuse_other(wanted | {"lowercase": normalizer.get("lowercase")})

    def tokenizer(self, texts: Sequence[str]) -> Tokenizer:
        config = self.config
        return Tokenizer.of_pieces(
            self.given.pieces, texts, vocab_size=config.vocab_size, lowercase=config.lowercase,
            max_seq_len=config.max_seq_len, with_cls=config.starts_with_cls,
        )  # fmt: skip

    def fill(self, network: Network, tokenizer: Tokenizer) -> None:
        """Copies the weights; the head keeps its own."""
        weights = self._weights()

        def given(name: str) -> Tensor:
            return torch.from_numpy(weights[name].copy())

        def copy(part: Any, name: str) -> None:
            part.weight.copy_(given(f"{name}.weight"))
            part.bias.copy_(given(f"{name}.bias"))

        number = {piece: row for row, piece in enumerate(self.given.pieces)}
        kept = sorted(tokenizer.vocabulary, key=tokenizer.vocabulary.__getitem__)
        encoder = network.encoder
        with torch.no_grad():
            tokens = given("embeddings.word_embeddings.weight")[[number[piece] for piece in kept]]
            # Every text is of BERT's first segment, whose vector is added to each token's.
            encoder.tokens.weight.copy_(tokens + given("embeddings.token_type_embeddings.weight")[0])
            for module in encoder.encodings[0].modules():
                if isinstance(module, Learned):
                    table = given("embeddings.position_embeddings.weight")[: len(module.table)]
                    module.table[: len(table)].copy_(table)
            copy(encoder.stem_norm, "embeddings.LayerNorm")
            for layer, block in enumerate(encoder.layers):
                assert isinstance(block, Block)
                place = f"encoder.layer.{layer}"
                projections = [f"{place}.attention.self.{part}" for part in ("query", "key", "value")]
                block.attention.project.weight.copy_(torch.cat([given(f"{one}.weight") for one in projections]))
                block.attention.project.bias.copy_(torch.cat([given(f"{one}.bias") for one in projections]))
                copy(block.attention.output, f"{place}.attention.output.dense")
                copy(block.join_attention.norm, f"{place}.attention.output.LayerNorm")
                copy(block.feedforward.expand, f"{place}.intermediate.dense")
                copy(block.feedforward.output, f"{place}.output.dense")
                copy(block.join_feedforward.norm, f"{place}.output.LayerNorm")

    def _refuse_other(self, wanted: dict[str, Any]) -> None:
        config, theirs = self.config, self.given.config
        other = {key: value for key, value in wanted.items() if getattr(config, key) != value}
        for key, name in (("num_layers", "num_hidden_layers"), ("max_seq_len", "max_position_embeddings")):
            if getattr(config, key) > theirs.get(name, 0):
                other[key] = theirs.get(name)
        if other:
            first, value = next(iter(other.items()))
            raise ConfigError(
                f"{first} must be {_spelled(value)}, as init.backbone {self.given.name!r} has it, "
                f"got {_spelled(getattr(config, first))}",
                hint=" ".join(f"--set {key}={_spelled(value)}" for key, value in other.items()),
            )

    def _weights(self) -> dict[str, np.ndarray]:
        """The encoder's tensors without the name of a model around it."""
        found = {name.removeprefix("bert."): one for name, one in self.given.weights.items()}
        config, rows = self.config, len(self.given.pieces)
        d, ff, positions = config.d_model, config.d_feedforward, self.given.config["max_position_embeddings"]
        shapes: dict[str, tuple[int, ...]] = {
            "embeddings.word_embeddings.weight": (rows, d),
            "embeddings.position_embeddings.weight": (positions, d),
            "embeddings.token_type_embeddings.weight": (self.given.config.get("type_vocab_size", 2), d),
        }

        def part(name: str, *shape: int) -> None:
            shapes.update({f"{name}.weight": shape, f"{name}.bias": shape[:1]})

        part("embeddings.LayerNorm", d)
        for layer in range(config.num_layers):
            place = f"encoder.layer.{layer}"
            for name in ("self.query", "self.key", "self.value", "output.dense"):
                part(f"{place}.attention.{name}", d, d)
            part(f"{place}.attention.output.LayerNorm", d)
            part(f"{place}.intermediate.dense", ff, d)
            part(f"{place}.output.dense", d, ff)
            part(f"{place}.output.LayerNorm", d)
        own = {name: found[name] for name in shapes if name in found}
        tensors.check_names(own, shapes, f"init.backbone {self.given.name!r}")
        return own


def _spelled(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
