"""Probabilities that mean what they say: logits are divided by a temperature, which is folded into the last layer.

Source: Guo et al. 2017, arXiv 1706.04599. No answer changes, only how sure it is; and whoever loads the model, in
whatever runtime, has the scaled logits without knowing of it.
"""

from collections.abc import Sequence

import torch
from numpy.typing import ArrayLike
from torch import nn

from ..data.tokenizer import Tokenizer
from ..model.pipeline import Network, torch_logits
from ..scoring.calibration import temperature


def scale(network: Network, tokenizer: Tokenizer, texts: Sequence[str], truth: ArrayLike) -> float:
    """Divides the network's logits by the temperature that these texts, which it did not learn, ask for; returns it."""
    found = temperature(torch_logits(network, tokenizer)(texts), truth)
    last = network.head.mlp[-1]
    assert isinstance(last, nn.Linear)
    with torch.no_grad():
        last.weight.div_(found)
        last.bias.div_(found)
    return found
