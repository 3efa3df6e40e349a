"""Every hook equals the paper's formula, written as a slow loop in float64."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from scriptchain.positions import PositionalEncoding, Positions

from .references import Reference
from .rows import build, draw, rows, streams


def check_reference(
    encoding: PositionalEncoding, reference: type[Reference], options: Mapping[str, Any], p: Positions,
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
            _close(_of_text(bias.dense().detach(), own, int(number), p.packed), expected, "bias", tolerance)


def _of_text(bias_BHLL: torch.Tensor, own: torch.Tensor, number: int, packed: bool) -> torch.Tensor:
    kept = own.flatten() if packed else own[number]
    return bias_BHLL[0 if packed or len(bias_BHLL) == 1 else number][:, kept][:, :, kept]


def _close(ours: torch.Tensor, oracle: np.ndarray, hook: str, tolerance: float) -> None:
    distance = np.abs(ours.double().numpy() - oracle).max()
    assert distance < tolerance, f"{hook} must equal the reference, is {distance} away"


@rows()
def test_hooks_equal_the_reference(row):
    for p in streams():
        check_reference(build(row), row.reference, row.options, p)


@rows()
def test_the_last_position_equals_the_reference(row):
    p = Positions.from_lengths(torch.tensor([row.reach]))
    check_reference(build(row), row.reference, row.options, p)
