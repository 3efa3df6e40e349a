"""What `Positions` says of a batch depends on its texts alone, not on where their pads stand."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from scriptchain.conformance.counting import check_counting
from scriptchain.conformance.inputs import padding
from scriptchain.errors import UsageError
from scriptchain.positions import Positions

LENGTHS = st.lists(st.integers(1, 5), min_size=1, max_size=4)
MASKS = st.integers(1, 6).flatmap(
    lambda width: st.lists(st.lists(st.booleans(), min_size=width, max_size=width), min_size=1, max_size=4)
)


@given(MASKS)
@settings(deadline=None)
def test_pads_never_count(mask):
    mask = torch.tensor(mask)
    for given_mask in (mask, mask.long(), mask.float()):
        p = Positions.from_mask(given_mask)
        check_counting(p, mask)
        assert torch.equal(p.coordinate, p.index)
        assert not p.special.any()
        assert not p.packed


@given(LENGTHS, st.integers(0, 3))
@settings(deadline=None)
def test_lengths_are_a_mask_on_the_right(lengths, extra):
    width = max(lengths) + extra
    one, other = Positions.from_lengths(torch.tensor(lengths), width), padding(lengths, width, "right")
    check_counting(one, other)
    check_counting(Positions.from_lengths(torch.tensor(lengths)), other[:, : max(lengths)])


@given(LENGTHS, st.permutations([3, 11, 0, 7]))
@settings(deadline=None)
def test_a_packed_stream_counts_each_text_from_zero(lengths, numbers):
    segment = torch.cat([torch.full((length,), number) for length, number in zip(lengths, numbers, strict=False)])
    for form in (segment, segment.unsqueeze(0)):
        p = Positions.from_packed(form)
        assert p.packed
        assert p.index.shape == p.length.shape == p.segment.shape == form.shape
        assert p.valid.all()
        assert torch.equal(p.coordinate, p.index)
        assert p.index.flatten().tolist() == [place for length in lengths for place in range(length)]
        assert p.length.flatten().tolist() == [length for length in lengths for _ in range(length)]
        assert p.segment.flatten().tolist() == [number for number, length in enumerate(lengths) for _ in range(length)]


@pytest.mark.parametrize("segment", [[0, 1, 0], [4, 4, 2, 4], [1, 2, 3, 1]])
def test_an_interrupted_text_is_refused(segment):
    with pytest.raises(UsageError) as error:
        Positions.from_packed(torch.tensor(segment))
    assert str(error.value) == (
        "segment must keep the tokens of a sequence together, got one that comes back; hint: sort the stream by segment"
    )


def test_an_empty_stream_is_refused():
    with pytest.raises(UsageError) as error:
        Positions.from_packed(torch.zeros(0, dtype=torch.long))
    assert str(error.value) == "segment must hold at least one token, got none"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_half_type_coordinate_is_refused(dtype):
    p = Positions.from_lengths(torch.tensor([3]))
    with pytest.raises(UsageError) as error:
        p.at(p.coordinate.to(dtype))
    assert str(error.value) == (
        f"coordinate must be integer, float32 or float64, got {dtype}; hint: positions.coordinate.float()"
    )


def test_other_coordinates_are_the_same_tokens():
    p = Positions.from_mask(torch.tensor([[True, True, False]]), special=torch.tensor([[True, False, False]]))
    moved = p.at(p.coordinate.float() * 0.5)
    assert moved.coordinate.tolist() == [[0.0, 0.5, 0.0]]
    assert moved.index is p.index
    assert moved.special.tolist() == [[True, False, False]]
    assert p.coordinate.tolist() == [[0, 1, 0]]


def test_specials_are_kept():
    special = torch.tensor([True, False, True])
    assert torch.equal(Positions.from_packed(torch.tensor([0, 0, 1]), special=special).special, special)


@given(st.lists(st.lists(st.booleans(), min_size=6, max_size=6), min_size=1, max_size=4))
def test_contiguous_is_known_exactly(mask):
    """Columns stand as far apart as indices unless a pad lies between two tokens of a text."""
    p = Positions.from_mask(torch.tensor(mask))
    columns = [[place for place, real in enumerate(row) if real] for row in mask]
    assert p.contiguous == all(not row or row[-1] - row[0] == len(row) - 1 for row in columns)
    assert p.at(p.coordinate + 1).contiguous == p.contiguous


def test_what_cannot_be_read_is_never_called_contiguous():
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        assert not Positions.from_mask(torch.ones(2, 3)).contiguous
    assert not Positions.from_mask(torch.ones(2, 3, device="meta")).contiguous
    assert Positions.from_packed(torch.tensor([1, 1, 0])).contiguous
