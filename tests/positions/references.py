"""The papers' formulas as slow loops in float64, one text at a time: the oracle of the encodings.

A reference reads the learned numbers and the options of its row, never the encoding's own attributes.
L tokens of the text, D d_model, H heads, E width of a head; `t` holds the coordinates.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Reference:
    """Overriding nothing is "none"."""

    def __init__(self, parameters: Mapping[str, Array], options: Mapping[str, Any]):
        self.parameters = parameters
        self.options = options

    def place(self, t: Array) -> Array:
        return t

    def embed(self, x_LD: Array, t: Array) -> Array:
        return x_LD

    def rotate(self, q_LHE: Array, k_LHE: Array, t: Array) -> tuple[Array, Array]:
        return q_LHE, k_LHE

    def bias(self, x_LD: Array, q_LHE: Array, k_LHE: Array, t: Array) -> Array:
        """Shape `(H, L, L)`: head, query, key."""
        return np.zeros((q_LHE.shape[1], len(t), len(t)))


class Learned(Reference):
    """1810.04805, figure 2: input = token embedding + the embedding of its position."""

    def embed(self, x_LD: Array, t: Array) -> Array:
        table = self.parameters["table"]
        added = np.empty_like(x_LD)
        for place, coordinate in enumerate(t):
            for column in range(x_LD.shape[1]):
                added[place, column] = x_LD[place, column] + table[int(coordinate)][column]
        return added


class Sinusoidal(Reference):
    """1706.03762, section 3.5: PE(pos, 2i) = sin(pos / 10000^(2i/d)), PE(pos, 2i+1) = cos(pos / 10000^(2i/d)).

    Ours keeps the even columns of the paper in the first half and the odd ones in the second.
    """

    def embed(self, x_LD: Array, t: Array) -> Array:
        base, scale = self.options.get("base", 10_000.0), self.options.get("scale", 1.0)
        width = x_LD.shape[1]
        added = np.empty_like(x_LD)
        for place, coordinate in enumerate(t):
            paper = [0.0] * width
            for i in range(width // 2):
                angle = coordinate / math.pow(base, 2 * i / width)
                paper[2 * i] = math.sin(angle)
                paper[2 * i + 1] = math.cos(angle)
            ours = paper[0::2] + paper[1::2]
            for column in range(width):
                added[place, column] = x_LD[place, column] + scale * ours[column]
        return added


def attention(
    q_LHE: Array, k_LHE: Array, v_LHF: Array, *, scale: float, bias_HLL: Array | None = None
) -> tuple[Array, Array]:
    """1706.03762, equation 1, with a term added to the scores: output `(L, H, F)`, weights `(H, L, L)`."""
    length, heads, _ = q_LHE.shape
    output = np.zeros((length, heads, v_LHF.shape[2]))
    weights = np.zeros((heads, length, length))
    for h in range(heads):
        for i in range(length):
            logits = []
            for j in range(length):
                product = sum(float(a) * float(b) for a, b in zip(q_LHE[i, h], k_LHE[j, h], strict=True))
                logits.append(scale * product + (0.0 if bias_HLL is None else float(bias_HLL[h, i, j])))
            top = max(logits)
            powers = [math.exp(logit - top) for logit in logits]
            for j in range(length):
                weights[h, i, j] = powers[j] / sum(powers)
                output[i, h] += weights[h, i, j] * v_LHF[j, h]
    return output, weights
