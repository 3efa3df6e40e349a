"""`num_parameters` is what tables and docs print: the learned numbers of one instance at its default options."""

from hypothesis import given, settings
from hypothesis import strategies as st

from scriptchain.positions import PositionalEncoding, Size, load

from .rows import ALONE, SIZE, rows

SIZES = st.builds(
    lambda heads, width, layers, length: Size(2 * heads * width, heads, layers, length),
    st.integers(1, 4), st.integers(1, 3), st.integers(1, 3), st.integers(2, 40),
)  # fmt: skip


def check_parameters(encoding: type[PositionalEncoding], size: Size) -> None:
    learned = sum(parameter.numel() for parameter in encoding(size).parameters())
    assert encoding.num_parameters(size) == learned, "num_parameters must be the count of learned numbers"
    assert all(parameter.requires_grad for parameter in encoding(size).parameters()), "parameters must learn"
    assert (encoding.learns == "nothing") == (learned == 0), "learns must say whether anything is learned"


@rows(row for row in ALONE if not row.options)
@given(SIZES)
@settings(deadline=None, max_examples=20)
def test_num_parameters(row, size):
    check_parameters(load(row.name), size)


def test_every_encoding_has_a_row_with_default_options():
    assert {row.name for row in ALONE if not row.options} == {row.name for row in ALONE}
    assert load("learned").num_parameters(SIZE) == 12 * 8
