"""Every hook equals the paper's formula, written as a slow loop in float64."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..positions import Bias, PositionalEncoding, Positions
from .inputs import draw

Array = NDArray[Any]


class Reference:
    """A paper's formula for one text at a time; overriding nothing is "none".

    It reads the learned numbers and the options, never the encoding's own attributes. L tokens of the text, D d_model,
    H heads, E width of a head; `t` holds the coordinates.
    """

    def __init__(self, parameters: Mapping[str, Array], options: Mapping[str, Any]):
        self.parameters = parameters
        self.options = options
        self.special: NDArray[np.bool_] = np.zeros(0, bool)  # of the text's tokens; a test sets it

    def place(self, t: Array) -> Array:
        return t

    def embed(self, x_LD: Array, t: Array) -> Array:
        return x_LD

    def rotate(self, q_LHE: Array, k_LHE: Array, t: Array) -> tuple[Array, Array]:
        return q_LHE, k_LHE

    def bias(self, x_LD: Array, q_LHE: Array, k_LHE: Array, t: Array) -> Array:
        """Shape `(H, L, L)`: head, query, key."""
        return np.zeros((q_LHE.shape[1], len(t), len(t)))

    def values(self, weights_HLL: Array, t: Array) -> Array | None:
        """Shape `(H, L, F)`: what weights add to the output beside the values."""
        return None


def check_reference(
    encoding: PositionalEncoding, reference: Callable[..., Reference], options: Mapping[str, Any], p: Positions,
    *, dtype: torch.dtype = torch.float64, tolerance: float = 1e-5,
) -> None:  # fmt: skip
    """All hooks on the real tokens of each text, which the reference sees alone."""
    size = encoding.size
    numbers = {name: value.detach().double().numpy() for name, value in encoding.named_parameters()}
    oracle = reference(numbers, options)
    shape = p.valid.shape
    x = draw(*shape, size.d_model, dtype=dtype)
    q, k = (draw(*shape, size.num_heads, size.d_model // size.num_heads, seed=seed, dtype=dtype) for seed in (1, 2))
    placed = encoding.place(p)
    with torch.no_grad():
        embedded, (turned_q, turned_k) = encoding.embed(x, placed), encoding.rotate(q, k, placed)
        bias = encoding.bias(x, q, k, placed)
    for number in p.segment.unique():
        own = p.valid & (p.segment == number)
        if not own.any():
            continue
        oracle.special = p.special[own].numpy()
        one = {"x": x, "q": q, "k": k, "t": p.coordinate}
        x_LD, q_LHE, k_LHE, t = (value[own].double().numpy() for value in one.values())
        t = oracle.place(t)
        _close(placed.coordinate[own], t, "place", tolerance)
        _close(embedded[own], oracle.embed(x_LD, t), "embed", tolerance)
        expected_q, expected_k = oracle.rotate(q_LHE, k_LHE, t)
        _close(turned_q[own], expected_q, "rotate, queries", tolerance)
        _close(turned_k[own], expected_k, "rotate, keys", tolerance)
        expected = oracle.bias(x_LD, q_LHE, k_LHE, t)
        if bias is None:
            assert not expected.any(), "bias must not be None"
        else:
            length = p.valid.numel() if p.packed else shape[1]
            scores = bias.dense().detach().expand(-1, size.num_heads, length, length)
            _close(_of_text(scores, own, int(number), p.packed), expected, "bias", tolerance)
        _check_values(bias, oracle, own, int(number), p, t, tolerance, size.num_heads)


def _check_values(
    bias: Bias | None,
    oracle: Reference,
    own: torch.Tensor,
    number: int,
    p: Positions,
    t: Array,
    tolerance: float,
    heads: int,
) -> None:
    rows_ = 1 if p.packed else len(p.valid)
    length = p.valid.numel() if p.packed else p.valid.shape[1]
    weights = draw(rows_, heads, length, length, seed=4).softmax(-1).double()
    kept = own.flatten() if p.packed else own[number]
    weights = weights * kept  # only the text's own tokens have weight, as attention sees to
    row = weights[0 if p.packed else number]
    expected = oracle.values(row[:, kept][:, :, kept].numpy(), t)
    if expected is None:
        assert bias is None or not bias.acts_on_values, "the output must not be changed"
        return
    assert bias is not None
    assert bias.acts_on_values, "the output must be changed"
    with torch.no_grad():
        added = bias.values(weights)[0 if p.packed else number][:, kept]
    _close(added, expected, "values", tolerance)


def _of_text(bias_BHLL: torch.Tensor, own: torch.Tensor, number: int, packed: bool) -> torch.Tensor:
    kept = own.flatten() if packed else own[number]
    return bias_BHLL[0 if packed or len(bias_BHLL) == 1 else number][:, kept][:, :, kept]


def _close(ours: torch.Tensor, oracle: Array, hook: str, tolerance: float) -> None:
    distance = np.abs(ours.double().numpy() - oracle).max()
    assert distance < tolerance, f"{hook} must equal the reference, is {distance} away"
