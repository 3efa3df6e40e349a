"""Laws of streams and padded batches: each is the other, for positions and for what stands at them."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from scriptchain.positions import Positions

from ..positions.rows import draw

LENGTHS = st.lists(st.integers(1, 6), min_size=1, max_size=5)
FIELDS = ("coordinate", "index", "valid", "segment", "length", "special")


def same(one: Positions, other: Positions) -> bool:
    return all(torch.equal(getattr(one, name), getattr(other, name)) for name in FIELDS)


@given(LENGTHS, st.booleans())
@settings(deadline=None)
def test_a_stream_laid_out_is_the_batch_padded_on_the_right(lengths, batched):
    segment = torch.arange(len(lengths)).repeat_interleave(torch.tensor(lengths))
    special = draw(len(segment), 1)[:, 0] > 0
    stream = Positions.from_packed(*(t[None] if batched else t for t in (segment, special)))
    rows = stream.layout.positions
    assert rows.valid.tolist() == [[place < length for place in range(max(lengths))] for length in lengths]
    padded = Positions.from_mask(rows.valid)
    assert all(torch.equal(getattr(rows, name), getattr(padded, name)) for name in ("index", "segment", "length"))
    assert torch.equal(rows.special[rows.valid], special)
    assert not rows.special[~rows.valid].any()
    assert (rows.coordinate is rows.index, rows.packed, rows.contiguous) == (True, False, True)
    assert stream.layout is stream.layout


@given(LENGTHS, st.booleans())
@settings(deadline=None)
def test_what_is_padded_can_be_taken_back(lengths, batched):
    segment = torch.arange(len(lengths)).repeat_interleave(torch.tensor(lengths))
    x = draw(len(segment), 3).requires_grad_()
    layout = Positions.from_packed(segment[None] if batched else segment).layout
    rows = layout.pad(x[None] if batched else x)
    assert torch.equal(rows[layout.positions.valid], x)
    assert torch.equal(layout.take(rows), x)
    (gradient,) = torch.autograd.grad(layout.take(rows).sum(), x)
    assert torch.equal(gradient, torch.ones_like(x))


@given(LENGTHS, st.booleans())
@settings(deadline=None)
def test_the_stream_of_a_batch_is_its_real_tokens(lengths, left):
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    mask = mask.flip(1) if left else mask
    special = draw(*mask.shape) > 0
    stream = Positions.from_mask(mask, special).stream()
    segment = torch.arange(len(lengths)).repeat_interleave(torch.tensor(lengths))
    assert same(stream, Positions.from_packed(segment, special[mask]))
    assert (stream.packed, stream.contiguous, stream.coordinate is stream.index) == (True, True, True)


def test_moved_coordinates_come_along():
    p = Positions.from_lengths(torch.tensor([2, 3]))
    moved = p.at(p.coordinate + 0.5)
    assert moved.stream().coordinate.tolist() == [0.5, 1.5, 0.5, 1.5, 2.5]
    rows = moved.stream().layout.positions
    assert rows.coordinate[rows.valid].tolist() == [0.5, 1.5, 0.5, 1.5, 2.5]


def test_a_stream_of_one_long_text_and_many_short_ones_is_not_worth_laying_out():
    assert Positions.from_packed(torch.tensor([0] * 9 + [1] * 4)).layout.worthwhile
    assert not Positions.from_packed(torch.tensor([0] * 90 + list(range(1, 30)))).layout.worthwhile
