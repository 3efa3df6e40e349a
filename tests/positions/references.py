"""The papers' formulas as slow loops in float64, one text at a time: the oracle of the encodings.

A reference reads the learned numbers and the options of its row, never the encoding's own attributes.
L tokens of the text, D d_model, H heads, E width of a head; `t` holds the coordinates.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from scriptchain.conformance.reference import Array, Reference


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

    Unless the layout is the paper's, ours keeps its even columns in the first half and the odd ones in the second.
    """

    def embed(self, x_LD: Array, t: Array) -> Array:
        base, scale = self.options.get("base", 10_000.0), self.options.get("scale", 1.0)
        if "log_scale" in self.parameters:
            scale = math.exp(self.parameters["log_scale"][0])
        width = x_LD.shape[1]
        added = np.empty_like(x_LD)
        for place, coordinate in enumerate(t):
            paper = [0.0] * width
            for i in range(width // 2):
                angle = coordinate / math.pow(base, 2 * i / width)
                paper[2 * i] = math.sin(angle)
                paper[2 * i + 1] = math.cos(angle)
            ours = paper if self.options.get("layout") == "interleaved" else paper[0::2] + paper[1::2]
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
                    base, factor = self.options.get("base", 10_000.0), self.options.get("factor", 1.0)
                    if self.options.get("scaling") == "ntk":  # 2309.00071, section 3.1: base factor^(d / (d - 2))
                        base *= math.pow(factor, 2 * pairs / (2 * pairs - 2))
                    w = math.pow(base, -2 * c / (2 * pairs))
                    if self.options.get("scaling") == "linear":  # 2306.15595, equation 4
                        w /= factor
                    if "log_stretch" in self.parameters:
                        w *= math.exp(self.parameters["log_stretch"][head][c])
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
        return mlp(self.parameters, [math.copysign(math.log(1 + abs(delta)), delta)])[head]


def mlp(w: Any, inputs: list[float]) -> list[float]:
    """One hidden layer of GELU units."""
    hidden = []
    for weights, bias in zip(w["expand.weight"], w["expand.bias"], strict=True):
        z = sum(a * b for a, b in zip(weights, inputs, strict=True)) + bias
        hidden.append(0.5 * z * (1 + math.erf(z / math.sqrt(2))))
    return [
        sum(a * b for a, b in zip(weights, hidden, strict=True)) + bias
        for weights, bias in zip(w["output.weight"], w.get("output.bias", [0.0] * len(w["output.weight"])), strict=True)
    ]


class Fourier(Reference):
    """2106.02795, equations 2 and 3: mlp of [cos x w, sin x w] / sqrt(waves)."""

    def embed(self, x_LD: Array, t: Array) -> Array:
        w = self.parameters
        added = np.empty_like(x_LD)
        for place, x in enumerate(t):
            angles = [x * frequency for frequency in w["frequency"]]
            waves = [math.cos(a) for a in angles] + [math.sin(a) for a in angles]
            waves = [wave / math.sqrt(len(angles)) for wave in waves]
            added[place] = x_LD[place] + mlp(w, waves)
        return added


class Persistent(Reference):
    """w + mlp(w) at the tokens' scale, w the sines of all angles and then their cosines."""

    def embed(self, x_LD: Array, t: Array) -> Array:
        w = self.parameters
        added = np.empty_like(x_LD)
        for place, x in enumerate(t):
            waves = [wave(x * frequency) for wave in (math.sin, math.cos) for frequency in w["frequency"]]
            added[place] = x_LD[place] + waves + mlp(w, waves)
        return added


class Convolutional(Reference):
    """2102.10882, section 3.3, in one dimension: x[t] + sum over o of w[o] x[t + o], zero outside the text."""

    def embed(self, x_LD: Array, t: Array) -> Array:
        weight = self.parameters["weight"]
        added = np.zeros_like(x_LD)
        for place in range(len(x_LD)):
            for column in range(len(weight)):
                neighbor = place + column - len(weight) // 2
                if 0 <= neighbor < len(x_LD):
                    own = weight[column]
                    added[place] += x_LD[neighbor] @ own if own.ndim == 2 else x_LD[neighbor] * own
            if self.options.get("mix"):
                hidden = np.array([0.5 * z * (1 + math.erf(z / math.sqrt(2))) for z in added[place]])
                added[place] = hidden @ self.parameters["output"]
        return x_LD + added


class Pope(Reference):
    """2509.10534, equation 6: softplus(q_c) softplus(k_c) cos((s - t) w_c + shift_c) as a product of two vectors."""

    def rotate(self, q_LHE: Array, k_LHE: Array, t: Array) -> tuple[Array, Array]:
        return self._polar(q_LHE, t, False), self._polar(k_LHE, t, True)

    def _polar(self, x_LHE: Array, t: Array, shifted: bool) -> Array:
        length, heads, width = x_LHE.shape
        wide = np.zeros((length, heads, 2 * width))
        for place, coordinate in enumerate(t):
            for head in range(heads):
                for c in range(width):
                    angle = coordinate * math.pow(self.options.get("base", 10_000.0), -c / width)
                    if shifted and "shift" in self.parameters:
                        angle += self.parameters["shift"][head][c]
                    size = math.log(1 + math.exp(x_LHE[place, head, c]))
                    wide[place, head, c] = size * math.cos(angle)
                    wide[place, head, width + c] = size * math.sin(angle)
        return wide


class Sandwich(ByDistance):
    """2212.10356, section 4: the sum of 64 cosines of the distance, divided by 8 h / H; here minus its value at 0."""

    def logit(self, head: int, heads: int, delta: float) -> float:
        if "log_gain" in self.parameters:
            gains = [math.exp(number) for number in self.parameters["log_gain"][head]]
        else:
            paper = 1 / (8 * (head + 1) / heads)
            gains = [paper, 2 * paper] if head % 2 == 0 else [2 * paper, paper]
        base = self.options.get("base", 10_000.0)
        wave = sum(math.cos(delta / math.pow(base, 2 * k / 128)) - 1 for k in range(64))
        return (gains[0] if delta < 0 else gains[-1]) * wave


class Fire(Reference):
    """2310.04418, equation 7, with the longest distance of the text for the query's index, and a sign."""

    def bias(self, x_LD: Array, q_LHE: Array, k_LHE: Array, t: Array) -> Array:
        w, heads = self.parameters, q_LHE.shape[1]
        c, threshold = math.exp(w["log_c"][0]), math.exp(w["log_threshold"][0])
        scores = np.zeros((heads, len(t), len(t)))
        for i, query in enumerate(t):
            for j, key in enumerate(t):
                far = math.log(c * abs(key - query) + 1) / math.log(c * max(len(t) - 1, threshold) + 1)
                share = math.copysign(far, key - query)
                for head in range(heads):
                    for unit in range(len(w["expand.bias"])):
                        z = w["expand.weight"][unit][0] * share + w["expand.bias"][unit]
                        scores[head, i, j] += (
                            w["output.weight"][head][unit] * 0.5 * z * (1 + math.erf(z / math.sqrt(2)))
                        )
        return scores


def clipped(table: Array, delta: float) -> Array:
    """1803.02155, equation 4: the last axis holds -k .. k."""
    k = (table.shape[-1] - 1) // 2
    return table[..., int(max(-k, min(k, delta))) + k]


class ByContent(Reference):
    """A bias that reads queries, keys or the stream: one pair of tokens at a time."""

    def logit(self, head: int, i: int, j: int, x_LD: Array, q_LHE: Array, k_LHE: Array, t: Array) -> float:
        raise NotImplementedError

    def bias(self, x_LD: Array, q_LHE: Array, k_LHE: Array, t: Array) -> Array:
        heads = q_LHE.shape[1]
        scores = np.zeros((heads, len(t), len(t)))
        for head in range(heads):
            for i in range(len(t)):
                for j in range(len(t)):
                    scores[head, i, j] = self.logit(head, i, j, x_LD, q_LHE, k_LHE, t)
        return scores


class Shaw(ByContent):
    """1803.02155, equations 3 and 4: q_i . a^K[j - i] / sqrt(E) and sum over j of weight[i, j] a^V[j - i]."""

    def logit(self, head: int, i: int, j: int, x_LD: Array, q_LHE: Array, k_LHE: Array, t: Array) -> float:
        q = q_LHE[i, head]
        return float(q @ clipped(self.parameters["key"], t[j] - t[i])) / math.sqrt(len(q))

    def values(self, weights_HLL: Array, t: Array) -> Array | None:
        if "value" not in self.parameters:
            return None
        table = self.parameters["value"]
        added = np.zeros((*weights_HLL.shape[:2], len(table)))
        for head in range(len(weights_HLL)):
            for i in range(len(t)):
                for j in range(len(t)):
                    added[head, i] += weights_HLL[head, i, j] * clipped(table, t[j] - t[i])
        return added


class TransformerXl(ByContent):
    """1901.02860, section 3.3, terms b, c and d of the relative score, all divided by sqrt(E)."""

    def logit(self, head: int, i: int, j: int, x_LD: Array, q_LHE: Array, k_LHE: Array, t: Array) -> float:
        w, (q, k) = self.parameters, (q_LHE[i, head], k_LHE[j, head])
        width, half = len(q), x_LD.shape[1] // 2
        distance = t[i] - t[j]
        angles = [distance / math.pow(self.options.get("base", 10_000.0), 2 * n / (2 * half)) for n in range(half)]
        waves = np.array([math.sin(a) for a in angles] + [math.cos(a) for a in angles])
        r = (w["project"] @ waves)[head * width : (head + 1) * width]
        total = w["content"][head] @ k + q @ r + w["position"][head] @ r
        return float(total) / math.sqrt(width)


class Deberta(ByContent):
    """2006.03654, equation 4: content to position and position to content; here over sqrt(E)."""

    def logit(self, head: int, i: int, j: int, x_LD: Array, q_LHE: Array, k_LHE: Array, t: Array) -> float:
        q, k, delta = q_LHE[i, head], k_LHE[j, head], t[j] - t[i]
        total = q @ clipped(self.parameters["key"][head], delta) + k @ clipped(self.parameters["query"][head], delta)
        return float(total) / math.sqrt(len(q))


class DistanceProfile(ByContent):
    """A kernel of distances predicted from the token (1901.10430, equation 5), as a term of the scores."""

    def logit(self, head: int, i: int, j: int, x_LD: Array, q_LHE: Array, k_LHE: Array, t: Array) -> float:
        w = self.parameters
        profiles, columns = w["bank"].shape
        if abs(t[j] - t[i]) > (columns - 1) // 2:
            return 0.0
        mix = w["mix.weight"] @ x_LD[i] + w["mix.bias"]
        return float(mix[head * profiles : (head + 1) * profiles] @ clipped(w["bank"], t[j] - t[i]))


class Forgetting(ByContent):
    """2503.02130, equation 6: the sum of log f over l = j + 1 .. i; to the right its mirror image."""

    def logit(self, head: int, i: int, j: int, x_LD: Array, q_LHE: Array, k_LHE: Array, t: Array) -> float:
        heads = q_LHE.shape[1]
        gate = head if j <= i else heads + head
        passed = range(j + 1, i + 1) if j <= i else range(i, j)
        total = 0.0
        for place in passed:
            z = self.parameters["gates.weight"][gate] @ x_LD[place] + self.parameters["gates.bias"][gate]
            total += -math.log(1 + math.exp(-z))
        return total


class Cope(ByContent):
    """2405.18719, equations 4 to 6: gates counted from the key to the query, rows of two whole counts mixed."""

    def logit(self, head: int, i: int, j: int, x_LD: Array, q_LHE: Array, k_LHE: Array, t: Array) -> float:
        q = q_LHE[i, head]
        scale = 1 / math.sqrt(len(q))
        count = 0.0
        for k in range(min(i, j), max(i, j) + 1):
            count += 1 / (1 + math.exp(-scale * float(q @ k_LHE[k, head])))
        table = self.parameters["left" if j <= i else "right"]
        count = min(count, table.shape[1] - 1)
        low, high = math.floor(count), math.ceil(count)
        row = table[:, low] if low == high else (high - count) * table[:, low] + (count - low) * table[:, high]
        return scale * float(q @ row)


class Tupe(ByContent):
    """2006.15595, equations 7 to 9: p_i U_q . p_j U_k and a bias of distance; theta 2 where the key is [CLS]."""

    def logit(self, head: int, i: int, j: int, x_LD: Array, q_LHE: Array, k_LHE: Array, t: Array) -> float:
        w, width = self.parameters, q_LHE.shape[2]
        if self.special[i] or self.special[j]:
            return 0.0 if self.special[i] else float(w["special"][head])
        vectors = []
        for coordinate in (t[i], t[j]):
            v = w["vectors"][int(coordinate)]
            v = (v - v.mean()) / math.sqrt(v.var() + 1e-5)
            vectors.append(v * w["norm_weight"] + w["norm_bias"])
        own = slice(head * width, (head + 1) * width)
        u, k = (w["query"] @ vectors[0])[own], (w["key"] @ vectors[1])[own]
        return float(u @ k) / math.sqrt(width) + float(clipped(w["table"][head], t[j] - t[i]))


class Offset(Reference):
    """2109.05644, equation 3, for one shift."""

    def place(self, t: Array) -> Array:
        return t + self.options.get("offset", 1)


class Grouped(Reference):
    """2401.01325, equation 3: position // group."""

    def place(self, t: Array) -> Array:
        return np.array([math.floor(coordinate / self.options.get("group", 2)) for coordinate in t])


class Randomized(Reference):
    """2305.16843, section 3: sorted, without repetition; outside training the first n of one shuffle."""

    def place(self, t: Array) -> Array:
        seed = torch.Generator().manual_seed(self.options.get("seed", 0))
        shuffle = torch.randperm(self.options.get("num_positions", 2_048), generator=seed).tolist()
        return np.array(sorted(shuffle[: len(t)]))


def composed(*parts: type[Reference]) -> Callable[[Mapping[str, Array], Mapping[str, Any]], Reference]:
    """The reference of `a+b`: coordinates pass through in order, what is added adds up."""

    class Composed(Reference):
        def __init__(self, parameters: Mapping[str, Array], options: Mapping[str, Any]):
            super().__init__(parameters, options)
            self.parts = []
            for number, part in enumerate(parts):
                own = f"parts.{number}."
                numbers = {key.removeprefix(own): value for key, value in parameters.items() if key.startswith(own)}
                self.parts.append(part(numbers, options.get(names[number], {})))

        def place(self, t: Array) -> Array:
            for part in self.parts:
                t = part.place(t)
            return t

        def embed(self, x_LD: Array, t: Array) -> Array:
            for part in self.parts:
                x_LD = part.embed(x_LD, t)
            return x_LD

        def rotate(self, q_LHE: Array, k_LHE: Array, t: Array) -> tuple[Array, Array]:
            for part in self.parts:
                q_LHE, k_LHE = part.rotate(q_LHE, k_LHE, t)
            return q_LHE, k_LHE

        def bias(self, x_LD: Array, q_LHE: Array, k_LHE: Array, t: Array) -> Array:
            return sum((part.bias(x_LD, q_LHE, k_LHE, t) for part in self.parts), np.zeros(1))

        def values(self, weights_HLL: Array, t: Array) -> Array | None:
            found = [added for part in self.parts if (added := part.values(weights_HLL, t)) is not None]
            return sum(found, np.zeros(1)) if found else None

    names = [part.__name__.lower() for part in parts]
    return Composed


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
