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


class Rope(Reference):
    """2104.09864, equation 34, pair by pair: (a, b) becomes (a cos tw - b sin tw, b cos tw + a sin tw)."""

    def rotate(self, q_LHE: Array, k_LHE: Array, t: Array) -> tuple[Array, Array]:
        return self._turned(q_LHE, t), self._turned(k_LHE, t)

    def _turned(self, x_LHE: Array, t: Array) -> Array:
        turned = x_LHE.copy()
        width = x_LHE.shape[2]
        pairs = int(width * self.options.get("partial", 1.0)) // 2
        kept = max(1, round(pairs * self.options.get("p", 1.0)))
        for place, coordinate in enumerate(t):
            for head in range(x_LHE.shape[1]):
                for c in range(kept):
                    w = math.pow(self.options.get("base", 10_000.0), -2 * c / (2 * pairs))
                    if "log_frequency" in self.parameters:
                        w = math.exp(self.parameters["log_frequency"][head][c])
                    one, two = (2 * c, 2 * c + 1) if self.options.get("layout") == "interleaved" else (c, c + pairs)
                    a, b = x_LHE[place, head, one], x_LHE[place, head, two]
                    cos, sin = math.cos(coordinate * w), math.sin(coordinate * w)
                    turned[place, head, one] = a * cos - b * sin
                    turned[place, head, two] = b * cos + a * sin
        return turned


class ByDistance(Reference):
    """A bias of head and distance j - i alone."""

    def logit(self, head: int, heads: int, delta: float) -> float:
        raise NotImplementedError

    def bias(self, x_LD: Array, q_LHE: Array, k_LHE: Array, t: Array) -> Array:
        heads = q_LHE.shape[1]
        scores = np.zeros((heads, len(t), len(t)))
        for head in range(heads):
            for i, query in enumerate(t):
                for j, key in enumerate(t):
                    scores[head, i, j] = self.logit(head, heads, key - query)
        return scores


class Alibi(ByDistance):
    """2108.12409, section 3: -m |i - j|, m the head's slope; here one slope to the left and one to the right."""

    def logit(self, head: int, heads: int, delta: float) -> float:
        if "log_slope" in self.parameters:
            sides = [math.exp(number) for number in self.parameters["log_slope"][head]]
        else:  # the paper's slopes for a power of two of heads that look to one side
            looking = heads // 2
            m = 2 ** (-8 / looking * (head // 2 + 1))
            sides = [m, 1.0] if head % 2 == 0 else [1.0, m]
        return -(sides[0] if delta < 0 else sides[-1]) * abs(delta)


class T5Bias(ByDistance):
    """1910.10683: of a side's buckets half hold one distance each, the rest grow as logarithms up to max_distance."""

    def logit(self, head: int, heads: int, delta: float) -> float:
        side = self.options.get("num_buckets", 32) // 2
        exact, distance = side // 2, abs(delta)
        bucket = int(distance)
        if distance >= exact:
            share = math.log(distance / exact) / math.log(self.options.get("max_distance", 128) / exact)
            bucket = min(side - 1, exact + int(share * (side - exact)))
        return self.parameters["table"][bucket if delta <= 0 else side - 1 + bucket][head]


class Toeplitz(ByDistance):
    """1803.02155, equation 4, for its clip: w[max(-k, min(k, j - i))]."""

    def logit(self, head: int, heads: int, delta: float) -> float:
        table = self.parameters["table"][head]
        k = (len(table) - 1) // 2
        return table[int(max(-k, min(k, delta))) + k]


class Kerple(ByDistance):
    """2205.09921, equations 6 and 7: -r1 log(1 + r2 |i - j|) and -r1 |i - j|^r2."""

    def logit(self, head: int, heads: int, delta: float) -> float:
        side = 0 if delta < 0 else 1
        r1 = math.exp(self.parameters["log_r1"][head][side])
        raw = self.parameters["raw_r2"][head][side]
        if self.options.get("kind", "log") == "log":
            return -r1 * math.log(1 + math.exp(raw) * abs(delta))
        return -r1 * math.pow(abs(delta), 2 / (1 + math.exp(-raw))) if delta else 0.0


class Cpb(ByDistance):
    """2111.09883, equation 4: a small network of sign(x) log(1 + |x|), here with GELU."""

    def logit(self, head: int, heads: int, delta: float) -> float:
        w = self.parameters
        far = math.copysign(math.log(1 + abs(delta)), delta)
        total = w["output.bias"][head]
        for unit in range(len(w["expand.bias"])):
            z = w["expand.weight"][unit][0] * far + w["expand.bias"][unit]
            total += w["output.weight"][head][unit] * 0.5 * z * (1 + math.erf(z / math.sqrt(2)))
        return total


class Fourier(Reference):
    """2106.02795, equations 2 and 3: mlp of [cos x w, sin x w] / sqrt(waves)."""

    def embed(self, x_LD: Array, t: Array) -> Array:
        w = self.parameters
        added = np.empty_like(x_LD)
        for place, x in enumerate(t):
            angles = [x * frequency for frequency in w["frequency"]]
            waves = [math.cos(a) for a in angles] + [math.sin(a) for a in angles]
            waves = [wave / math.sqrt(len(angles)) for wave in waves]
            hidden = []
            for weights, bias in zip(w["expand.weight"], w["expand.bias"], strict=True):
                z = sum(a * b for a, b in zip(weights, waves, strict=True)) + bias
                hidden.append(0.5 * z * (1 + math.erf(z / math.sqrt(2))))
            for column, bias in enumerate(w["output.bias"]):
                mixed = sum(a * b for a, b in zip(w["output.weight"][column], hidden, strict=True))
                added[place, column] = x_LD[place, column] + mixed + bias
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
