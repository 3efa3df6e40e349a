"""What was saved is the same encoding again, at another length too where there is no limit."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from scriptchain.conformance.inputs import SIZE, draw, texts
from scriptchain.conformance.save_load import check_other_length, check_round_trip, other
from scriptchain.errors import UsageError
from scriptchain.positions import Learned, Size

from .rows import ROWS, build, network, rows


@rows()
def test_round_trip(row):
    check_round_trip(network(row), other(network(row)))


@rows(row for row in ROWS if not row.limited)
def test_another_length(row):
    check_other_length(lambda length: network(row, max_seq_len=length))


@rows(row for row in ROWS if row.limited and row.name != "randomized")  # its limit is tested in test_policies.py
def test_a_limit_is_a_limit(row):
    """Never a wrong row in silence: neither another length's weights nor a text beyond the last row."""
    short = network(row)
    longest = row.reach
    more = row.at(num_positions=longest + 1) if "num_positions" in row.options else row.at()
    longer = network(row, max_seq_len=longest + 1, positions_options=more)
    with pytest.raises(RuntimeError, match="size mismatch"):
        longer.load_state_dict(short.state_dict())
    (ids,) = texts(longest + 1)
    assert short(ids[None, :longest], torch.ones(1, longest, dtype=torch.bool)).isfinite().all()
    with pytest.raises(UsageError, match="the rows of the table, got"):
        short(ids[None], torch.ones(1, longest + 1, dtype=torch.bool))


@rows(row for row in ROWS if row.name == "learned")
@pytest.mark.parametrize("rows_", [2, 5, 12, 16, 31])
def test_a_resized_table_is_the_same_curve(row, rows_):
    encoding = build(row)
    resized = encoding.resized(rows_)
    old, new = encoding.table.detach().numpy(), resized.table.detach().numpy()
    assert new.shape == (rows_, SIZE.d_model)
    assert resized.size == Size(SIZE.d_model, SIZE.num_heads, SIZE.num_layers, rows_)
    np.testing.assert_allclose(new[[0, -1]], old[[0, -1]], atol=1e-6)
    places = np.linspace(0, len(old) - 1, rows_)
    for column in range(SIZE.d_model):
        np.testing.assert_allclose(new[:, column], np.interp(places, np.arange(len(old)), old[:, column]), atol=1e-5)
    assert resized.table.requires_grad
    assert resized.table is not encoding.table


@rows(row for row in ROWS if row.name == "learned")
def test_the_same_length_is_the_same_table(row):
    encoding = build(row)
    assert torch.equal(encoding.resized(row.reach).table, encoding.table)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_resizing_keeps_the_number_type(dtype):
    encoding = build(next(row for row in ROWS if row.name == "learned")).to(dtype)
    assert encoding.resized(20).table.dtype == dtype


@given(st.integers(2, 9), st.integers(2, 20))
@settings(deadline=None)
def test_a_straight_table_stays_straight(before, after):
    encoding = Learned(Size(2, 1, 1, before))
    with torch.no_grad():
        encoding.table.copy_(torch.linspace(-1, 3, before)[:, None] * draw(1, 2))
    expected = torch.linspace(-1, 3, after)[:, None] * draw(1, 2)
    torch.testing.assert_close(encoding.resized(after).table.detach(), expected, atol=1e-5, rtol=0)
