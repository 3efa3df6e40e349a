"""Integrated gradients: what each token adds to an answer on the straight way from a text of [MASK] to the text.

The weights of all tokens add up to what the answer gains on that way, which no other linear share of it does for every
network. The gradient is taken at the token embeddings, [CLS] left as it is, at the nodes of a Gauss-Legendre rule.
*Source*: arXiv 1703.01365.
"""

from collections.abc import Sequence
from difflib import SequenceMatcher

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from ..data.text import model_text
from ..data.tokenizer import CLS, MASK, Tokenizer
from ..errors import UsageError
from ..runtime.bundle import Bundle
from ..runtime.explain import Weigh
from .pipeline import Network, network_of

NODES = (32, 128, 512, 2048)
TOGETHER = 128  # nodes that go through the network at once


def integrated_gradients(
    network: Network, ids: Int[Tensor, " L"], of: int, nodes: int | None = None
) -> Float[Tensor, " L"]:
    """What each token adds to the log-odds of class `of`; they sum to its gain over the text of [MASK].

    Without `nodes` they are as many as it takes for the sum to be within a hundredth of the gain, 2,048 at most.
    """
    tokens = network.encoder.tokens
    masked = torch.where(ids == CLS, ids, torch.full_like(ids, MASK))
    with torch.no_grad():
        start_LD, end_LD = tokens(masked), tokens(ids)
        both = torch.stack([ids, masked])
        gain = torch.sub(*log_odds(network(both, torch.ones_like(both, dtype=torch.bool)), of))
    found = torch.zeros(len(ids))
    for number in NODES if nodes is None else (nodes,):
        places, shares = (torch.from_numpy(one / 2).to(end_LD) for one in np.polynomial.legendre.leggauss(number))
        gradient_LD = torch.zeros_like(end_LD)
        for some, weights in zip((places + 0.5).split(TOGETHER), shares.split(TOGETHER), strict=True):
            way_NLD = start_LD + some[:, None, None] * (end_LD - start_LD)
            gradient_LD += torch.tensordot(weights, _gradient(network, ids, way_NLD, of), 1)
        found = (gradient_LD * (end_LD - start_LD)).sum(-1)
        if abs(float(found.sum() - gain)) <= 0.01 * max(abs(float(gain)), 0.1):
            break
    return found


def _gradient(network: Network, ids: Int[Tensor, " L"], way_NLD: Tensor, of: int) -> Float[Tensor, "N L D"]:
    way_NLD.requires_grad_()
    hook = network.encoder.tokens.register_forward_hook(lambda *_: way_NLD)
    try:
        with torch.enable_grad():
            some = ids.expand(len(way_NLD), -1)
            logits = network(some, torch.ones_like(some, dtype=torch.bool))
            return torch.autograd.grad(log_odds(logits, of).sum(), way_NLD)[0]
    finally:
        hook.remove()


def log_odds(logits: Float[Tensor, "N C"], of: int) -> Float[Tensor, " N"]:
    """The logarithm of p / (1 - p) of one class."""
    others = torch.cat([logits[:, :of], logits[:, of + 1 :]], 1)
    return logits[:, of] - others.logsumexp(1)


def by_gradients(network: Network | None, tokenizer: Tokenizer | None) -> Weigh:
    """Weights of words as `explain` takes them: a word's tokens added up, one that spans several shared by characters.

    A word that the model does not read, behind `max_seq_len` or of invisible characters, weighs nothing.

    *Raises*: UsageError where there is no network: a linear model, or an export.
    """
    if network is None or tokenizer is None:
        raise UsageError("gradients need the weights of a network, got an export or a linear model",
                         hint="--method occlusion")  # fmt: skip
    network.eval()

    def weigh(text: str, spans: Sequence[tuple[int, int]], of: int) -> NDArray[np.float64]:
        device = next(network.parameters()).device
        ids = torch.from_numpy(tokenizer.encode([text]).ids[0]).to(device)
        of_tokens = integrated_gradients(network, ids, of).double().cpu().numpy()
        cleaned = model_text(text)
        of_characters = np.zeros(len(cleaned))
        for (start, end), weight in zip(tokenizer.offsets(text), of_tokens, strict=True):
            visible = [at for at in range(start, end) if not cleaned[at].isspace()]
            of_characters[visible] += weight / max(1, len(visible))
        found = _moved(of_characters, cleaned, text)
        return np.array([found[start:end].sum() for start, end in spans])

    return weigh


def by_gradients_of(bundle: Bundle) -> Weigh:
    """The same of a run folder. Raises UsageError for one without a network."""
    there = bundle.has("model.safetensors")
    return by_gradients(*((network_of(bundle), bundle.tokenizer) if there else (None, None)))


def _moved(of_characters: NDArray[np.float64], cleaned: str, text: str) -> NDArray[np.float64]:
    """What belongs to the characters of the cleaned text, at the places that they have in the text as it was typed."""
    if cleaned == text:
        return of_characters
    found = np.zeros(len(text))
    for kind, start, end, first, last in SequenceMatcher(None, cleaned, text, autojunk=False).get_opcodes():
        if kind == "equal":
            found[first:last] = of_characters[start:end]
        elif last > first:  # composed characters, say: together they weigh what they did
            found[first:last] = of_characters[start:end].sum() / (last - first)
    return found
