"""Laws of a split: no text on two sides, the mix of labels kept, and the order of the rows without effect."""

# ruff: noqa: N802 - a test is named after its row of the fault catalogue

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from scriptchain.data.splits import folds, split, without
from scriptchain.data.text import leak_key
from scriptchain.errors import DataError, UsageError

# Few distinct words, so that texts often meet again in another form or under another label.
WORDS = st.integers(0, 12).map(lambda number: f"word {number}")
FORMS = st.sampled_from([str, str.upper, "{}!".format, " {} ".format, "“{}”".format])
ROWS = st.lists(st.tuples(st.builds(lambda word, form: form(word), WORDS, FORMS), st.sampled_from("ab")), max_size=60)
SHARES = st.sampled_from([(0.8, 0.1, 0.1), (0.5, 0.5), (0.9, 0.1), (0.4, 0.3, 0.2, 0.1)])


def parts_of(rows, shares, seed):
    texts, labels = [text for text, _ in rows], [label for _, label in rows]
    try:
        return split(texts, labels, shares, seed)
    except DataError:
        assume(False)
        raise


def keys_of(rows, part):
    return {leak_key(rows[row][0]) for row in part}


@given(ROWS, SHARES, st.integers(0, 3))
def test_every_row_is_in_one_part_and_no_text_in_two(rows, shares, seed):
    parts = parts_of(rows, shares, seed)
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(len(rows)))
    assert all((np.diff(part) > 0).all() and len(part) for part in parts)
    keys = [keys_of(rows, part) for part in parts]
    assert sum(map(len, keys)) == len(set.union(*keys))


@given(ROWS, SHARES, st.randoms())
def test_the_order_of_the_rows_does_not_matter(rows, shares, random):
    order = random.sample(range(len(rows)), len(rows))
    shuffled = [rows[row] for row in order]
    before, after = parts_of(rows, shares, 0), parts_of(shuffled, shares, 0)
    assert [set(part) for part in before] == [{order[row] for row in part} for part in after]


@given(st.lists(st.integers(5, 80), min_size=2, max_size=5), SHARES, st.integers(0, 3))
def test_every_class_keeps_its_shares_within_one_row(sizes, shares, seed):
    labels = [f"class {number}" for number, size in enumerate(sizes) for _ in range(size)]
    texts = [f"row {number}" for number in range(len(labels))]
    parts = split(texts, labels, shares, seed)
    for number, size in enumerate(sizes):
        counts = np.array([sum(labels[row] == f"class {number}" for row in part) for part in parts])
        assert (counts > 0).all()
        forced = (np.array(shares) * size < 1).sum()  # a part that is due less than a row gets one all the same
        assert (abs(counts - np.array(shares) * size) < 1.001 + forced).all()


def test_rounding_is_spread_over_the_parts():
    labels = [f"class {number}" for number in range(50) for _ in range(11)]
    texts = [f"row {number}" for number in range(len(labels))]
    assert [len(test) for _, test in folds(texts, labels, 5, 0)] == [110] * 5
    assert [len(part) for part in split(texts, labels)] == [440, 55, 55]


def test_a_group_goes_with_its_most_frequent_label_and_equals_with_the_first_name():
    texts = (
        [f"a {number}" for number in range(20)] + [f"b {number}" for number in range(20)] + ["same"] * 3 + ["tie"] * 2
    )
    labels = ["a"] * 20 + ["b"] * 20 + ["b", "a", "b"] + ["b", "a"]
    base = split(texts[:40], labels[:40], (0.5, 0.5))
    for row, label in [(40, "b"), (43, "a")]:
        rows = [*range(40), *range(row, 43 if row == 40 else 45)]
        moved = split([texts[row] for row in rows], [labels[row] for row in rows], (0.5, 0.5))
        other = [[row for row in part if row < 40 and labels[row] != label] for part in (*base, *moved)]
        assert other[:2] == other[2:]  # the class that does not own the group is split as if it were not there


def test_a_large_group_does_not_displace_the_shares():
    texts = [f"row {number}" for number in range(50)] + ["again and again"] * 50 + [f"other {n}" for n in range(100)]
    labels = ["a"] * 100 + ["b"] * 100
    assert [len(part) for part in split(texts, labels)] == [160, 20, 20]


def test_the_seed_decides_and_nothing_else():
    texts, labels = [f"row {number}" for number in range(100)], list("ab") * 50
    first, again, other = split(texts, labels, seed=1), split(texts, labels, seed=1), split(texts, labels, seed=2)
    assert all(map(np.array_equal, first, again))
    assert not np.array_equal(first[1], other[1])
    assert first[2].tolist() == [1, 24, 25, 58, 63, 66, 67, 73, 74, 98]  # on every machine and in every version


@given(ROWS, st.integers(2, 4))
def test_folds_test_every_row_once_and_train_on_the_rest(rows, k):
    texts, labels = [text for text, _ in rows], [label for _, label in rows]
    try:
        pairs = folds(texts, labels, k, 0)
    except DataError:
        assume(False)
        raise
    assert np.array_equal(np.sort(np.concatenate([test for _, test in pairs])), np.arange(len(rows)))
    for train, test in pairs:
        assert np.array_equal(np.sort(np.concatenate([train, test])), np.arange(len(rows)))
        assert not keys_of(rows, train) & keys_of(rows, test)


@given(ROWS, ROWS)
def test_without_leaves_the_rows_whose_key_no_other_text_has(rows, others):
    texts, other_texts = [text for text, _ in rows], [text for text, _ in others]
    left = without(texts, other_texts)
    assert left.tolist() == [
        row for row in range(len(rows)) if not keys_of(rows, [row]) & {*map(leak_key, other_texts)}
    ]


def refused(call, kind):
    with pytest.raises(kind) as caught:
        call()
    return caught.value.message, caught.value.hint


def test_D15_one_class_and_a_class_with_too_few_texts_cannot_be_split():
    hint = "add rows of this class or remove it, or give the parts as files with --validation and --test"
    texts, labels = [*map(str, range(10)), "Rare!", "rare", "rare?"], ["a"] * 10 + ["b\n"] * 3
    message = "class 'b\\\\u000a' must have 3 or more distinct texts for 3 parts, got 1"
    assert refused(lambda: split(texts, labels), DataError) == (message, hint)
    assert refused(lambda: folds(texts, labels, 3, 0), DataError) == (message, hint)
    message = "labels must have 2 or more classes, got 1 ('a')"
    assert refused(lambda: split(["x", "y"], ["a", "a"]), DataError) == (message, None)
    assert refused(lambda: split([], []), DataError) == ("labels must have 2 or more classes, got 0", None)
    message = "labels must be as many as the texts (1), got 2"
    assert refused(lambda: split(["x"], ["a", "b"]), DataError) == (message, None)


@pytest.mark.parametrize("fractions", [(1.0,), (0.5, 0.6), (1.0, 0.0), (1.5, -0.5), (), (0.5, float("nan"))])
def test_fractions_are_shares_of_one(fractions):
    message = f"fractions must be two or more shares above 0 that add up to 1, got {fractions}"
    assert refused(lambda: split(["x", "y"], ["a", "b"], fractions), UsageError) == (message, None)


def test_there_are_two_folds_or_more():
    assert refused(lambda: folds(["x"], ["a"], 1, 0), UsageError) == ("folds must be 2 or more, got 1", None)
