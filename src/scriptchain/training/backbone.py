"""A trained BERT as the start of our encoder: the same computation, so its weights are copied to their places.

ELECTRA and DistilBERT compute the same under other names, RoBERTa and XLM-RoBERTa over other pieces. The vocabulary is
cut down to the training texts and a reserve, the first `num_layers` layers are taken. With other `positions` than
`learned` all but its positions is taken.
*Source*: arXiv 1810.04805; MiniLM, arXiv 2002.10957; ELECTRA, arXiv 2003.10555; DistilBERT, arXiv 1910.01108;
RoBERTa, arXiv 1907.11692; XLM-RoBERTa, arXiv 1911.02116.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..config import Config
from ..data import borrowed
from ..data.tokenizer import Tokenizer
from ..errors import ConfigError, ModelError
from ..model.block import Block
from ..model.pipeline import Network
from ..positions.learned import Learned
from ..runtime import tensors
from .pretrained import Pretrained


@dataclass(frozen=True)
class Family:
    """What a kind of encoder calls its things: config keys by ours, and tensors by what they are to us."""

    prefix: str  # of every tensor, where a head was saved beside the encoder
    shape: dict[str, str]
    layers: str
    layer: str
    parts: dict[str, str]
    segments: bool = True  # whether each text is of a segment, whose vector is added to each token's
    unplaced: int = 0  # rows of its table of positions before that of the first token


_BERT = Family(
    "bert.",
    {"d_model": "hidden_size", "num_heads": "num_attention_heads", "d_feedforward": "intermediate_size",
     "activation": "hidden_act", "norm_eps": "layer_norm_eps"},
    "num_hidden_layers",
    "encoder.layer",
    {"query": "attention.self.query", "key": "attention.self.key", "value": "attention.self.value",
     "attention": "attention.output.dense", "attention_norm": "attention.output.LayerNorm",
     "expand": "intermediate.dense", "feedforward": "output.dense", "feedforward_norm": "output.LayerNorm"},
)  # fmt: skip
FAMILIES = {
    "bert": _BERT,
    "electra": replace(_BERT, prefix="electra."),
    "distilbert": Family(
        "distilbert.",
        {"d_model": "dim", "num_heads": "n_heads", "d_feedforward": "hidden_dim", "activation": "activation"},
        "n_layers",
        "transformer.layer",
        {
            "query": "attention.q_lin",
            "key": "attention.k_lin",
            "value": "attention.v_lin",
            "attention": "attention.out_lin",
            "attention_norm": "sa_layer_norm",
            "expand": "ffn.lin1",
            "feedforward": "ffn.lin2",
            "feedforward_norm": "output_layer_norm",
        },
        segments=False,
    ),
    "roberta": replace(_BERT, prefix="roberta.", unplaced=2),
    "xlm-roberta": replace(_BERT, prefix="roberta.", unplaced=2),
}
# What all but BERT's tokenizer call our special tokens.
SPECIAL = {"[PAD]": "<pad>", "[UNK]": "<unk>", "[CLS]": "<s>", "[MASK]": "<mask>", "[SEP]": "</s>"}
# The only values of our keys that compute the same; a family's own names follow.
SAME = {"residual": "post_norm", "embedding_norm": True, "qk_norm": False,
        "branch_scale": "none", "layer_scale": 0.0, "norm_eps": 1e-12}  # fmt: skip


class Backbone:
    """Raises ConfigError for a config that is not the backbone's; ModelError for a folder that is none of these."""

    def __init__(self, config: Config):
        self.config, self.given = config, Pretrained("backbone", config.init["backbone"])
        theirs = self.given.config
        kind = str(theirs.get("model_type"))
        if kind not in FAMILIES or theirs.get("position_embedding_type", "absolute") != "absolute":
            raise ModelError(
                f"init.backbone {self.given.name!r} must be one of {', '.join(FAMILIES)} with absolute positions, got "
                f"{kind[:40]!r}"
            )
        self.family = FAMILIES[kind]
        normalizer = self.given.tokenizer.get("normalizer") or {}
        rows, pieces = theirs.get("vocab_size", 0), len(self.given.pieces)
        if rows < pieces:
            raise ModelError(
                f"init.backbone {self.given.name!r} must have a vector for each of its {pieces} tokens, got {rows}"
            )
        self.special = {} if self.given.kind == "wordpiece" else SPECIAL
        shape = {key: theirs.get(name) for key, name in self.family.shape.items()}
        own = {"tokenizer": self.given.kind, "lowercase": bool(normalizer.get("lowercase"))}
        self._refuse_other(shape | SAME | shape | own)

    def tokenizer(self, texts: Sequence[str]) -> Tokenizer:
        config = self.config
        size = {"vocab_size": config.vocab_size, "max_seq_len": config.max_seq_len, "with_cls": config.starts_with_cls}
        if self.given.kind == "wordpiece":
            return borrowed.of_pieces(self.given.pieces, texts, lowercase=config.lowercase, **size)
        if self.given.kind == "unigram":
            return borrowed.of_scores(self.given.scores, texts, without=self.special.values(), **size)
        return borrowed.of_merges(self.given.pieces, self.given.merges, texts, **size)

    def fill(self, network: Network, tokenizer: Tokenizer) -> None:
        """Copies the weights; the head keeps its own."""
        weights, family = self._weights(), self.family

        def given(name: str) -> Tensor:
            return torch.from_numpy(weights[name].copy())

        def copy(part: Any, name: str) -> None:
            part.weight.copy_(given(f"{name}.weight"))
            part.bias.copy_(given(f"{name}.bias"))

        number = {piece: row for row, piece in enumerate(self.given.pieces)}
        kept = sorted(tokenizer.vocabulary, key=tokenizer.vocabulary.__getitem__)
        encoder = network.encoder
        with torch.no_grad():
            rows = [number[self.special.get(piece, piece)] for piece in kept]
            tokens = given("embeddings.word_embeddings.weight")[rows]
            if family.segments:  # every text is of the first
                tokens = tokens + given("embeddings.token_type_embeddings.weight")[0]
            encoder.tokens.weight.copy_(tokens)
            for module in encoder.encodings[0].modules():
                if isinstance(module, Learned):
                    table = given("embeddings.position_embeddings.weight")[family.unplaced :][: len(module.table)]
                    module.table[: len(table)].copy_(table)
            copy(encoder.stem_norm, "embeddings.LayerNorm")
            for layer, block in enumerate(encoder.layers):
                assert isinstance(block, Block)
                place = {part: f"{family.layer}.{layer}.{name}" for part, name in family.parts.items()}
                projections = [place[part] for part in ("query", "key", "value")]
                block.attention.project.weight.copy_(torch.cat([given(f"{one}.weight") for one in projections]))
                block.attention.project.bias.copy_(torch.cat([given(f"{one}.bias") for one in projections]))
                copy(block.attention.output, place["attention"])
                copy(block.join_attention.norm, place["attention_norm"])
                copy(block.feedforward.expand, place["expand"])
                copy(block.feedforward.output, place["feedforward"])
                copy(block.join_feedforward.norm, place["feedforward_norm"])

    def _refuse_other(self, wanted: dict[str, Any]) -> None:
        config, theirs = self.config, self.given.config
        other = {key: value for key, value in wanted.items() if getattr(config, key) != value}
        most = {"num_layers": theirs.get(self.family.layers, 0),
                "max_seq_len": theirs.get("max_position_embeddings", 0) - self.family.unplaced}  # fmt: skip
        other |= {key: value for key, value in most.items() if getattr(config, key) > value}
        if other:
            first, value = next(iter(other.items()))
            raise ConfigError(
                f"{first} must be {_spelled(value)}, as init.backbone {self.given.name!r} has it, "
                f"got {_spelled(getattr(config, first))}",
                hint=" ".join(f"--set {key}={_spelled(value)}" for key, value in other.items()),
            )

    def _weights(self) -> dict[str, np.ndarray]:
        """The encoder's tensors without the name of a model around it."""
        family, config, rows = self.family, self.config, self.given.config.get("vocab_size", 0)
        found = {name.removeprefix(family.prefix): one for name, one in self.given.weights.items()}
        d, ff, positions = config.d_model, config.d_feedforward, self.given.config["max_position_embeddings"]
        shapes: dict[str, tuple[int, ...]] = {
            "embeddings.word_embeddings.weight": (rows, d),
            "embeddings.position_embeddings.weight": (positions, d),
        }
        if family.segments:
            shapes["embeddings.token_type_embeddings.weight"] = (self.given.config.get("type_vocab_size", 2), d)

        def part(name: str, *shape: int) -> None:
            shapes.update({f"{name}.weight": shape, f"{name}.bias": shape[:1]})

        part("embeddings.LayerNorm", d)
        sizes = {"expand": (ff, d), "feedforward": (d, ff), "attention_norm": (d,), "feedforward_norm": (d,)}
        for layer in range(config.num_layers):
            for what, name in family.parts.items():
                part(f"{family.layer}.{layer}.{name}", *sizes.get(what, (d, d)))
        own = {name: found[name] for name in shapes if name in found}
        tensors.check_names(own, shapes, f"init.backbone {self.given.name!r}")
        return own


def _spelled(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
