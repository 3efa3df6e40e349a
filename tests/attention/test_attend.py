"""`attend` equals a slow loop in float64: its scale, any bias, masks, packing, widths, dropout."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from scriptchain.attention import attend
from scriptchain.errors import UsageError
from scriptchain.positions import Dense, Positions

from ..positions import broken
from ..positions.references import attention
from ..positions.rows import difference, draw, streams

HEADS = 2
FORMS = ["right", "left", "packed", "packed-1N"]


def check_attention(
    attend: Callable[..., Tensor], p: Positions, *, scale: float, bias: bool, backend: str = "auto"
) -> None:
    shape = tuple(p.valid.shape)
    q, k, v = (draw(*shape, HEADS, width, seed=width, dtype=torch.float64) for width in (3, 3, 4))
    k = k.roll(1, -1)
    batch, length = (1, p.valid.numel()) if p.packed else shape
    tables = draw(batch, HEADS, length, length, seed=9, dtype=torch.float64)
    found = attend(q, k, v, p, scale=scale, bias=Dense(tables) if bias else None, backend=backend)
    assert found.shape == v.shape, "the output must have the shape of the values"
    for number in p.segment.unique():
        own = p.valid & (p.segment == number)
        if not own.any():
            continue
        kept = own.flatten() if p.packed else own[number]
        table = tables[0 if p.packed else number][:, kept][:, :, kept].numpy() if bias else None
        expected, _ = attention(q[own].numpy(), k[own].numpy(), v[own].numpy(), scale=scale, bias_HLL=table)
        distance = difference(found[own], torch.from_numpy(expected))
        assert distance < 1e-10, f"attention must equal the slow loop, is {distance} away"


@pytest.mark.parametrize("backend", ["auto", "fused", "dense", "blockwise"])
@pytest.mark.parametrize("bias", [False, True], ids=["plain", "bias"])
@pytest.mark.parametrize("form", range(len(FORMS)), ids=FORMS)
def test_attention(form, bias, backend):
    for scale in (0.37, 3**-0.5):
        check_attention(attend, streams(6)[form], scale=scale, bias=bias, backend=backend)


@given(
    st.lists(st.lists(st.booleans(), min_size=5, max_size=5), min_size=1, max_size=3),
    st.booleans(),
    st.sampled_from(["fused", "dense", "blockwise"]),
)
@settings(deadline=None, max_examples=30)
def test_any_mask(mask, bias, backend):
    check_attention(attend, Positions.from_mask(torch.tensor(mask)), scale=0.5, bias=bias, backend=backend)


@pytest.mark.parametrize(
    ("fault", "form"),
    [
        (broken.attend_all_keys, 0),
        (broken.attend_one_segment, 2),
        (broken.attend_transposed, 0),
        (broken.attend_transposed, 2),
        (broken.attend_bias_before_scale, 1),
        (broken.attend_scale_of_width, 1),
    ],
)
def test_the_law_bites(fault, form):
    with pytest.raises(AssertionError, match="must equal the slow loop"):
        check_attention(fault, streams(6)[form], scale=0.37, bias=True)


@pytest.mark.parametrize("backend", ["fused", "dense", "blockwise"])
def test_the_scale_is_what_it_is_told_for_wider_queries(backend):
    """A rotation may widen queries and keys by zeros: with the same scale it is the same attention."""
    p = streams(6)[0]
    q, k, v = (draw(*p.valid.shape, HEADS, 3, seed=seed) for seed in range(3))
    wide_q, wide_k = (torch.nn.functional.pad(part, (0, 5)) for part in (q, k))
    narrow = attend(q, k, v, p, scale=0.4, backend=backend)
    assert difference(narrow, attend(wide_q, wide_k, v, p, scale=0.4, backend=backend)) < 1e-6


@pytest.mark.parametrize("backend", ["fused", "dense", "blockwise"])
def test_dropout_removes_weights_and_scales_the_rest(backend):
    p = Positions.from_lengths(torch.tensor([8]))
    even, ones = torch.zeros(1, 8, 2, 4), torch.ones(1, 8, 2, 200)
    assert attend(even, even, ones, p, scale=1.0, dropout=0.0, backend=backend).sub(1).abs().max() < 1e-6
    with torch.random.fork_rng():
        torch.manual_seed(0)
        kept = [attend(even, even, ones, p, scale=1.0, dropout=0.5, backend=backend)[..., 0] for _ in range(40)]
    counted = torch.stack(kept) * 4  # a kept weight is 1/8 * 2
    assert difference(counted, counted.round()) < 1e-5
    assert counted.min() < 3
    assert counted.max() > 5
    assert counted.mean().item() == pytest.approx(4, abs=0.2)


def test_nothing_is_drawn_without_dropout():
    p = streams(6)[0]
    q, k, v = (draw(*p.valid.shape, HEADS, 3, seed=seed) for seed in range(3))
    before = torch.get_rng_state()
    assert torch.equal(attend(q, k, v, p, scale=1.0), attend(q, k, v, p, scale=1.0))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("backend", ["fused", "dense", "blockwise"])
def test_large_scores_do_not_overflow(backend):
    p = Positions.from_lengths(torch.tensor([3]))
    q = draw(1, 3, HEADS, 4) * 1e4
    assert attend(q, q, q, p, scale=1.0, backend=backend).isfinite().all()


def test_shapes_that_do_not_fit_are_named():
    p = Positions.from_lengths(torch.tensor([3, 4]))
    heads_first, right = torch.zeros(2, 2, 4, 8), torch.zeros(2, 4, 2, 8)
    with pytest.raises(UsageError) as error:
        attend(heads_first, heads_first, heads_first, p, scale=1.0)
    assert str(error.value) == (
        "queries must be (*tokens, heads, width) for positions of (2, 4), got (2, 2, 4, 8); "
        "hint: x.unflatten(-1, (num_heads, -1)), heads behind tokens"
    )
    with pytest.raises(UsageError) as error:
        attend(right, right, right, p, scale=1.0, bias=Dense(torch.zeros(1, 3, 4, 4)))
    assert str(error.value) == (
        "a dense bias must be (batch, heads, queries, keys) (2, 2, 4, 4) or 1 there, got (1, 3, 4, 4)"
    )
