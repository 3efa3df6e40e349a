"""Token vectors that share what their spellings share: while training, each is its own plus those of its n-grams.

A word that was seen twice learns from every word with the same stem or ending. Afterwards the sum is the token's
vector: what is saved, exported and run has no n-grams in it. *Source*: Bojanowski et al. 2017, arXiv 1607.04606.
"""

from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding_bag
from torch.nn.utils import parametrize

from ..config import Config
from ..data.tokenizer import SPECIAL, Tokenizer
from ..model.pipeline import Network

SIZES = (3, 4, 5)  # characters, the word's two ends counted
FEWEST = 2  # tokens that hold it; what one token alone has is its own vector


class Ngrams(nn.Module):
    """Adds to each token's own vector the sum of its n-grams' over the root of their number, so that its scale does not
    depend on its length. `table` `(G, d_model)` is learned."""

    ngrams: Tensor
    starts: Tensor
    shares: Tensor

    def __init__(self, spellings: Sequence[str], d_model: int, std: float):
        super().__init__()
        found = [sorted(_ngrams(text)) if number >= len(SPECIAL) else [] for number, text in enumerate(spellings)]
        counts = Counter(ngram for ngrams in found for ngram in ngrams)
        column = {ngram: number for number, ngram in enumerate(sorted(one for one in counts if counts[one] >= FEWEST))}
        kept = [[column[ngram] for ngram in ngrams if ngram in column] for ngrams in found]
        counts_V = torch.tensor([len(numbers) for numbers in kept])
        self.register_buffer("ngrams", torch.tensor([one for numbers in kept for one in numbers]), persistent=False)
        self.register_buffer("starts", counts_V.cumsum(0) - counts_V, persistent=False)
        self.register_buffer("shares", counts_V.repeat_interleave(counts_V).float().rsqrt(), persistent=False)
        self.table = nn.Parameter(torch.randn(len(column), d_model) * std)

    def forward(self, own: Tensor) -> Tensor:
        return own + embedding_bag(self.ngrams, self.table, self.starts, mode="sum", per_sample_weights=self.shares)


def share(network: Network, tokenizer: Tokenizer, config: Config) -> None:
    """From now on the n-grams learn beside the tokens, where `token_ngrams` is not 0."""
    if not config.token_ngrams:
        return
    ngrams = Ngrams(tokenizer.spellings(), config.d_model, config.token_ngrams * config.embedding_std)
    if len(ngrams.table):
        parametrize.register_parametrization(network.encoder.tokens, "weight", ngrams)


def settle(network: Network) -> None:
    """The sums become the tokens' vectors, and the n-grams go."""
    if parametrize.is_parametrized(network.encoder.tokens):
        parametrize.remove_parametrizations(network.encoder.tokens, "weight", leave_parametrized=True)


def _ngrams(text: str) -> set[str]:
    """All of `SIZES` but the whole text, which is what the token's own vector is for."""
    padded = f"<{text}>"
    found = {padded[start : start + size] for size in SIZES for start in range(len(padded) - size + 1)}
    return found - {padded} if text else set()
