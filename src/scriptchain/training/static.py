"""Trained static vectors as the start of our embeddings: a token of ours begins as the mean of the pieces of its text.

The vocabulary is ours, with a reserve of their words for texts that are not here. *Source*: model2vec and WordLlama for
the vectors; arXiv 2205.13147 for taking the first `d_model` dimensions of wider ones.
"""

import json
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import tokenizers
import torch
from numpy.typing import NDArray

from ..config import Config
from ..data.tokenizer import SPECIAL, UNK, Tokenizer
from ..errors import ConfigError, ModelError
from ..model.pipeline import Network
from .pretrained import Pretrained


class Static:
    """Raises ConfigError for a width that the vectors do not have; ModelError for a folder without vectors."""

    def __init__(self, config: Config):
        self.config, self.given = config, Pretrained("embeddings", config.init["embeddings"])
        width = self.vectors.shape[1]
        if config.d_model > width:
            raise ConfigError(
                f"d_model must be at most {width}, as init.embeddings {self.given.name!r} has, got {config.d_model}",
                hint=f"--set d_model={width - width % config.num_heads}",
            )

    def tokenizer(self, texts: Sequence[str]) -> Tokenizer:
        return Tokenizer.train(
            texts, kind=self.config.tokenizer, vocab_size=self.config.vocab_size, lowercase=self.config.lowercase,
            min_frequency=self.config.min_frequency, max_seq_len=self.config.max_seq_len,
            with_cls=self.config.starts_with_cls, reserve=self.words,
        )  # fmt: skip

    def fill(self, network: Network, tokenizer: Tokenizer) -> None:
        """Tokens that are no text of their own, such as half a character, keep the values that were drawn."""
        texts = tokenizer.spellings()
        rows = [number for number, text in enumerate(texts) if text and number >= len(SPECIAL)]
        pieces = self._pieces([texts[row] for row in rows])
        table = self.vectors[:, : self.config.d_model]
        table = table - table.mean(0)
        known = [(row, table[ids].mean(0)) for row, ids in zip(rows, pieces, strict=True) if ids]
        vectors = np.stack([vector for _, vector in known])
        vectors *= self.config.embedding_std / vectors.std()
        with torch.no_grad():
            network.encoder.tokens.weight[[row for row, _ in known]] = torch.from_numpy(vectors)

    @cached_property
    def vectors(self) -> NDArray[np.float32]:
        """One row a token of theirs."""
        weights = self.given.weights
        tables = [tensor for tensor in weights.values() if tensor.ndim == 2 and tensor.dtype.kind == "f"]
        if len(tables) != 1:
            raise ModelError(f"init.embeddings {self.given.name!r} must hold one table of vectors, got {len(tables)}")
        vectors, size = tables[0].astype(np.float32), self.theirs.get_vocab_size()
        if "mapping" in weights:  # model2vec: tokens that share a row
            vectors = vectors[weights["mapping"]]
        if weights.get("weights", np.empty(0)).shape == (len(vectors),):  # model2vec: how much each token counts
            vectors = vectors * weights["weights"].astype(np.float32)[:, None]
        if len(vectors) != size:
            raise ModelError(
                f"init.embeddings {self.given.name!r} must have a vector a token, {size:,}, got {len(vectors):,}"
            )
        return vectors

    @cached_property
    def theirs(self) -> tokenizers.Tokenizer:
        try:
            found = tokenizers.Tokenizer.from_str(json.dumps(self.given.tokenizer))
        except Exception as error:  # whatever the library finds wrong with it
            raise ModelError(
                f"init.embeddings {self.given.name!r} must have a tokenizer that loads ({error})"
            ) from None
        found.no_truncation()
        found.no_padding()
        return found

    @cached_property
    def words(self) -> list[str]:
        """Their tokens that are a word of two letters or more, in their order."""
        spelled = [self.theirs.decode([number]).strip() for number in range(self.theirs.get_vocab_size())]
        words = [(number, word) for number, word in enumerate(spelled) if len(word) > 1 and word.isalpha()]
        alone = self._pieces([word for _, word in words])
        return [word for (number, word), ids in zip(words, alone, strict=True) if ids == [number]]

    def _pieces(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of theirs that spell each text; what they do not know is left out."""
        unknown = self.theirs.token_to_id(str(self.given.tokenizer["model"].get("unk_token") or SPECIAL[UNK]))
        encodings = self.theirs.encode_batch_fast(list(texts), add_special_tokens=False)
        return [[number for number in encoding.ids if number != unknown] for encoding in encodings]
