"""M1 and M2, rank collapse: do the tokens of a text become one, whatever direction all texts share?

residual      sqrt(sum |h - mean of its text|^2 / sum |h|^2): the share of the stream in which tokens differ
centered      the same after the mean of all texts was taken out of each channel: a channel that is large everywhere
              hides in `residual`, and makes tokens look alike, without anything having collapsed
cosine_within, cosine_across   mean cosine of two tokens of one text, and of two texts: the second is anisotropy

*Source*: residual arXiv 2103.03404; cosine arXiv 2202.08625; anisotropy arXiv 1909.00512.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from .intervals import Measured, of_mean, over_texts
from .streams import Streams, per_text


@dataclass(frozen=True)
class Collapse:
    residual: Measured
    centered: Measured
    cosine_within: Measured
    cosine_across: float


def residual(x_LD: Float[Tensor, "L D"]) -> float:
    """The Frobenius norm of what differs from the mean token, relative to the whole: 0 where all tokens are one."""
    exact = x_LD.double()
    return float((exact - exact.mean(0)).norm() / exact.norm())


def collapse(streams: Streams) -> list[Collapse]:
    """Of every layer, 0 being what enters the first."""
    text = torch.from_numpy(streams.text)
    lengths = np.bincount(streams.text).astype(np.float64)
    found = []
    for layer in streams.layers:
        h_MD = layer.double().cpu()
        means_ND = _sums(h_MD, text) / torch.from_numpy(lengths).unsqueeze(1)
        within = per_text(((h_MD - means_ND[text]) ** 2).sum(1), streams)
        whole = per_text((h_MD**2).sum(1), streams)
        centered = per_text(((h_MD - h_MD.mean(0)) ** 2).sum(1), streams)
        units_ND = _sums(h_MD / h_MD.norm(dim=1, keepdim=True).clamp(min=1e-300), text)
        squares = (units_ND**2).sum(1).numpy()
        several = lengths > 1
        pairs = (squares[several] - lengths[several]) / (lengths[several] * (lengths[several] - 1))
        others = float((units_ND.sum(0) ** 2).sum()) - squares.sum()
        across = float(others / max(1.0, lengths.sum() ** 2 - (lengths**2).sum()))
        found.append(Collapse(_root(within, whole), _root(within, centered), of_mean(pairs), across))
    return found


def _root(above: np.ndarray, below: np.ndarray) -> Measured:
    return over_texts(lambda weights: np.sqrt((weights @ above) / (weights @ below)), len(above))


def _sums(x_MD: Float[Tensor, "M D"], text: Tensor) -> Float[Tensor, "N D"]:
    return torch.zeros(int(text.max()) + 1, x_MD.shape[1], dtype=x_MD.dtype).index_add_(0, text, x_MD)
