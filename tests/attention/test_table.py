"""A table of one's own: its orientation, its slice for shorter texts, and what does not fit."""

import pytest
import torch

from scriptchain.attention import Toeplitz, attend
from scriptchain.attention.choice import Backend
from scriptchain.errors import UsageError
from scriptchain.positions import Positions

from ..positions.rows import difference, draw
from .forms import HEADS, PLACES, inputs

BACKENDS: list[Backend] = ["auto", "fused", "dense", "blockwise"]


def test_dense_is_the_formula():
    table = draw(HEADS, 9)
    found = Toeplitz(table).dense()
    assert found.shape == (1, HEADS, 5, 5)
    for i in range(5):
        for j in range(5):
            assert torch.equal(found[0, :, i, j], table[:, j - i + 4])


def check_table(change, backend: Backend) -> None:
    """A text of 5 tokens, its values its own places, sees the key that the table says."""
    table = torch.full((2, 13), -40.0)
    table[0, 6 + 2], table[1, 6 - 1] = 40.0, 40.0
    p = Positions.from_mask(torch.tensor([[0, 0, 1, 1, 1, 1, 1]]))
    q, v = torch.zeros(1, 7, 2, 3), torch.eye(7)[None, :, None].expand(-1, -1, 2, -1)
    y = attend(q, q, v, p, scale=1.0, bias=Toeplitz(change(table)), backend=backend)
    assert y[0, 2:5, 0].argmax(-1).tolist() == [4, 5, 6], "head 0 must look two keys ahead"
    assert y[0, 3:, 1].argmax(-1).tolist() == [2, 3, 4, 5], "head 1 must look one key back"


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_sign(backend):
    check_table(lambda table: table, backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_law_bites(backend):
    with pytest.raises(AssertionError, match="must look two keys ahead"):
        check_table(lambda table: table.flip(1), backend)


@pytest.mark.parametrize("place", PLACES)
def test_backends_agree_whatever_the_padding(place):
    t, p = inputs(PLACES[place]), PLACES[place]
    found = [
        attend(t["q"], t["k"], t["v"], p, scale=0.7, bias=Toeplitz(t["table"]), backend=backend)[p.valid]
        for backend in BACKENDS
    ]
    assert not found[0].numel() or max(difference(found[0], other) for other in found[1:]) < 1e-10


@pytest.mark.parametrize(
    ("shape", "says"),
    [
        ((2, 8), "table must have 2 L - 1 columns, an odd number, got 8; hint: the middle column is distance 0"),
        ((3, 9), "table must have a row for each of 2 heads, got 3"),
        (
            (2, 7),
            "table must have at least 9 columns for a text of 5 tokens, got 7; hint: a longer table, or shorter texts",
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_table_that_does_not_fit(shape, says, backend):
    p = Positions.from_lengths(torch.tensor([5, 2]), max_length=9)
    q = torch.zeros(2, 9, HEADS, 3)
    with pytest.raises(UsageError) as error:
        attend(q, q, q, p, scale=1.0, bias=Toeplitz(torch.zeros(shape)), backend=backend)
    assert str(error.value) == says


def test_pads_need_no_columns():
    p = Positions.from_lengths(torch.tensor([5, 2]), max_length=9)
    q = draw(2, 9, HEADS, 3)
    assert attend(q, q, q, p, scale=1.0, bias=Toeplitz(draw(HEADS, 9))).isfinite().all()


def test_other_coordinates_are_refused():
    p = PLACES["right"]
    q = inputs(p)["q"]
    with pytest.raises(UsageError) as error:
        attend(q, q, q, p.at(p.index * 0.5), scale=1.0, bias=Toeplitz(draw(HEADS, 23)))
    assert str(error.value) == (
        "coordinates must count tokens for a table, got others; "
        "hint: positions.at(positions.index), or scriptchain.positions.Toeplitz, which interpolates"
    )


def test_compiled_code_asks_for_the_width(monkeypatch):
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    p = Positions.from_lengths(torch.tensor([5, 2]), max_length=9)
    q = torch.zeros(2, 9, HEADS, 3)
    with pytest.raises(UsageError, match="at least 17 columns for a text of 9 tokens, got 9"):
        attend(q, q, q, p, scale=1.0, bias=Toeplitz(torch.zeros(HEADS, 9)))
