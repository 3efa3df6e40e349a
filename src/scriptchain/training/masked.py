"""Masked-token training: the encoder learns to read the user's own texts before it learns their labels.

*Source*: Devlin et al. 2019, arXiv 1810.04805; Gururangan et al. 2020, arXiv 2004.10964, for the texts of the task.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ..config import Config, replace
from ..data.batches import Batch
from ..data.tokenizer import MASK, Tokenizer, special
from ..model.encoder import Encoder
from ..model.pipeline import places
from .loop import Outcome, fit

SHARE = 0.15  # of the tokens of a text are hidden


class MaskedModel(nn.Module):
    """The encoder with a head that names tokens: a layer, then the product with the vocabulary's own vectors."""

    def __init__(self, encoder: Encoder, config: Config):
        super().__init__()
        self.encoder = encoder
        self.head = nn.Sequential(
            nn.Linear(config.d_model, config.d_model), nn.GELU(), nn.LayerNorm(config.d_model, config.norm_eps)
        )
        self.bias = nn.Parameter(torch.zeros(encoder.tokens.num_embeddings))

    def forward(self, ids: Tensor, mask: Tensor, hidden: Tensor) -> Tensor:
        """Logits `(hidden tokens, V)` of `(B, L)` ids, where `hidden` `(B, L)` says so."""
        last = self.encoder(ids, places(ids, mask))[hidden][:, -self.encoder.tokens.embedding_dim :]
        return self.head(last) @ self.encoder.tokens.weight.T + self.bias


@dataclass(frozen=True)
class MaskedTexts:
    """Token ids of each text, of which those from `first` on may be hidden: other ones in every batch."""

    ids: Sequence[NDArray[np.int64]]
    first: int
    lines: Sequence[int] = ()

    def loss(self, network: nn.Module, batch: Batch, config: Config, accelerator: Any) -> tuple[Tensor, float, float]:
        """The mean loss of the hidden tokens, the share of them that was named right, in rows, and their number."""
        ids, mask = (torch.from_numpy(one).to(accelerator.device) for one in (batch.ids, batch.mask))
        hidden = (torch.rand(ids.shape, device=ids.device) < SHARE) & mask & (ids >= self.first)
        with accelerator.autocast():
            logits = network(ids.masked_fill(hidden, MASK), mask, hidden).float()
        count = max(1, len(logits))  # a batch of short texts may hide nothing
        right = float((logits.argmax(1) == ids[hidden]).sum()) / count * len(batch.rows)
        return cross_entropy(logits, ids[hidden], reduction="sum") / count, right, float(len(logits))


def masked_texts(ids: Sequence[NDArray[np.int64]], config: Config) -> MaskedTexts:
    """Texts of which any token may be hidden that is none of its tokenizer's own."""
    return MaskedTexts(ids, len(special(config.tokenizer)))


def without_labels(config: Config, epochs: int) -> Config:
    """The same recipe without what belongs to labels: no epoch is chosen or averaged."""
    return replace(config, epochs=epochs, patience=0, weight_average=0.0, layer_decay=1.0)


def read_first(encoder: Encoder, tokenizer: Tokenizer, texts: Sequence[str], config: Config, **options: Any) -> Outcome:
    """Trains the encoder in place for `masked_epochs`; `options` as those of `loop.fit`, which this is but for the
    head, that goes, and for what belongs to labels: no epoch is kept or averaged."""
    data = masked_texts(tokenizer.encode(texts).ids, config)
    return fit(MaskedModel(encoder, config), data, without_labels(config, config.masked_epochs), **options)
