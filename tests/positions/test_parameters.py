"""`num_parameters` is what tables and docs print: the learned numbers of one instance at its default options."""

from hypothesis import given, settings
from hypothesis import strategies as st

from scriptchain.conformance.inputs import SIZE
from scriptchain.conformance.parameters import check_parameters
from scriptchain.positions import Size, load

from .rows import ALONE, rows

SIZES = st.builds(
    lambda heads, width, layers, length: Size(2 * heads * width, heads, layers, length),
    st.integers(1, 4), st.integers(1, 3), st.integers(1, 3), st.integers(2, 40),
)  # fmt: skip


@rows(row for row in ALONE if not row.options)
@given(SIZES)
@settings(deadline=None, max_examples=20)
def test_num_parameters(row, size):
    check_parameters(load(row.name), size)


def test_every_encoding_has_a_row_with_default_options():
    assert {row.name for row in ALONE if not row.options} == {row.name for row in ALONE}
    assert load("learned").num_parameters(SIZE) == 12 * 8
