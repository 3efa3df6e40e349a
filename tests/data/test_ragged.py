"""A ragged array is a list of its rows, in a fraction of the memory."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scriptchain.data.ragged import Ragged, lengths

ROWS = st.lists(st.lists(st.integers(0, 70_000), max_size=5), max_size=6)


def ragged(rows, below: int) -> Ragged:
    made = Ragged(below)
    for row in rows:
        made.append(row)
    return made


@given(rows=ROWS, cut=st.slices(6))
def test_it_is_a_list_of_its_rows(rows, cut):
    for below, some in ((70_001, rows), (2**16, [[one % 2**16 for one in row] for row in rows])):
        made = ragged(some, below)
        assert [row.tolist() for row in made] == some
        assert [row.tolist() for row in made[cut]] == some[cut]
        assert [made[np.int64(at - len(some))].tolist() for at in range(len(some))] == some
        assert all(row.dtype == np.int64 for row in made)
        assert lengths(made).tolist() == lengths(list(made)).tolist() == [len(row) for row in some]
        with pytest.raises(IndexError):
            made[len(some)]


@pytest.mark.parametrize(("below", "number"), [(2**16, 2**16), (2**16 + 1, 2**31), (9, -1)])
def test_a_number_without_room_is_refused_and_not_another_number(below, number):
    with pytest.raises(OverflowError):
        ragged([[number]], below)


def test_a_row_that_is_changed_changes_nothing():
    made = ragged([[1, 2]], 9)
    made[0][0] = 7
    assert made[0].tolist() == [1, 2]


def test_a_short_row_takes_bytes_and_not_an_object():
    tracemalloc.start()
    made = Ragged(8000)
    for row in range(20_000):
        made.append([row % 8000] * 13)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size / len(made) < 2 * (13 * 2 + 8)  # an array of its own takes 200
