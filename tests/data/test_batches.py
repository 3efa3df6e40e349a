"""Laws of batches: every row once, the same seed the same order, padding never more than it must be."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scriptchain.data.batches import POOL, Limit, epoch, pad, score_in_batches
from scriptchain.data.ragged import Ragged
from scriptchain.data.tokenizer import PAD, Tokenizer

LENGTHS = st.lists(st.integers(1, 30), min_size=1, max_size=120)


def rows_of(lengths) -> list[np.ndarray]:
    """Row r holds r + 1 in its first place, so that it is known again."""
    return [np.array([row + 1, *range(7, 6 + length)], dtype=np.int64) for row, length in enumerate(lengths)]


def batches_of(lengths, batch_size, seed, sort, tokens=0):
    return list(epoch(rows_of(lengths), Limit(batch_size, tokens), np.random.default_rng(seed), sort))


# --- pad -----------------------------------------------------------------------------------------------------


@given(LENGTHS, st.booleans(), st.data())
def test_the_mask_undoes_the_padding(lengths, ragged, data):
    rows = rows_of(lengths)
    every, chosen = rows, None
    if ragged:
        every = Ragged(2**16)
        for row in rows:
            every.append(row.tolist())
    if data.draw(st.booleans()):
        chosen = np.array(data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1)))
        rows = [rows[at] for at in chosen]
    ids, mask = pad(every, chosen)
    assert ids.shape == mask.shape == (len(rows), max(map(len, rows)))
    assert not any(np.shares_memory(ids, row) for row in rows)
    assert (ids.dtype, mask.dtype) == (np.int64, np.bool_)
    assert [line[real].tolist() for line, real in zip(ids, mask, strict=True)] == [row.tolist() for row in rows]
    assert (ids[~mask] == PAD).all()
    assert (np.sort(mask, axis=1)[:, ::-1] == mask).all()  # real tokens first


# --- epochs --------------------------------------------------------------------------------------------------


@given(LENGTHS, st.integers(1, 40), st.integers(0, 9), st.booleans())
def test_an_epoch_has_every_row_exactly_once_in_batches_of_the_size(lengths, batch_size, seed, sort):
    rows = rows_of(lengths)
    batches = batches_of(lengths, batch_size, seed, sort)
    assert sorted(np.concatenate([batch.rows for batch in batches]).tolist()) == list(range(len(rows)))
    sizes = sorted(len(batch.rows) for batch in batches)
    assert len(batches) == -(-len(rows) // batch_size)
    assert sizes[1:] == [batch_size] * (len(batches) - 1)
    for batch in batches:
        expected_ids, expected_mask = pad([rows[row] for row in batch.rows])
        assert (batch.ids == expected_ids).all()
        assert (batch.mask == expected_mask).all()


@given(LENGTHS, st.integers(30, 300), st.integers(0, 9), st.booleans())
@example([1, 30, 30], 30, 0, True)  # three batches, and no row's middle is in the middle third
def test_a_limit_of_tokens_is_kept_to_within_two_rows_and_no_batch_is_empty(lengths, tokens, seed, sort):
    rows = rows_of(lengths)
    batches = batches_of(lengths, 1, seed, sort, tokens)
    assert sorted(np.concatenate([batch.rows for batch in batches]).tolist()) == list(range(len(rows)))
    assert len(batches) == Limit(1, tokens).batches(np.array(lengths)) == -(-sum(lengths) // tokens)
    for batch in batches:
        assert len(batch.rows)
        assert batch.mask.sum() <= tokens + 2 * max(lengths)
        assert (batch.ids == pad([rows[row] for row in batch.rows])[0]).all()


def test_a_limit_of_tokens_gives_batches_of_like_work_where_a_limit_of_rows_does_not():
    lengths = np.random.default_rng(0).integers(1, 60, 2_000)
    by_rows, by_tokens = (
        [batch.mask.sum() for batch in batches_of(lengths, 16, 0, True, tokens)] for tokens in (0, 480)
    )
    assert np.std(by_rows) > 0.3 * np.mean(by_rows)
    assert np.std(by_tokens) < 0.1 * np.mean(by_tokens)


@given(LENGTHS, st.integers(1, 40), st.integers(0, 9), st.booleans())
def test_the_same_seed_gives_the_same_order(lengths, batch_size, seed, sort):
    one, other = (batches_of(lengths, batch_size, seed, sort) for _ in range(2))
    assert [batch.rows.tolist() for batch in one] == [batch.rows.tolist() for batch in other]


@pytest.mark.parametrize("sort", [False, True])
def test_another_seed_and_another_epoch_give_another_order(sort):
    lengths = np.random.default_rng(0).integers(1, 30, 200)
    rng = np.random.default_rng(1)
    orders = [
        np.concatenate([batch.rows for batch in epoch(rows_of(lengths), Limit(16), rng, sort)]).tolist()
        for _ in range(2)
    ]
    orders.append(np.concatenate([batch.rows for batch in batches_of(lengths, 16, 2, sort)]).tolist())
    assert len(set(map(tuple, orders))) == 3


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("count", [64, 1000, POOL * 8 + 5])
def test_sorting_by_length_pads_much_less(seed, count):
    lengths = np.random.default_rng(seed).integers(1, 60, count)
    padding = {sort: sum((~batch.mask).sum() for batch in batches_of(lengths, 8, seed, sort)) for sort in (False, True)}
    assert padding[True] < 0.5 * padding[False]


def test_sorted_batches_do_not_come_in_the_order_of_their_lengths():
    lengths = np.random.default_rng(0).integers(1, 60, 800)
    longest = [batch.ids.shape[1] for batch in batches_of(lengths, 8, 0, True)]
    assert longest != sorted(longest)
    assert abs(np.corrcoef(longest, np.arange(len(longest)))[0, 1]) < 0.3


# --- scores --------------------------------------------------------------------------------------------------

TOKENIZER = Tokenizer.train(
    ["a b c d e f g"], kind="word", vocab_size=300, min_frequency=1, lowercase=True, max_seq_len=40
)


def length_of(ids, mask):
    """Logits that name the row's length and the sum of its ids."""
    return np.stack([mask.sum(1), np.where(mask, ids, 0).sum(1)], axis=1).astype(np.float32)


TEXTS = st.lists(st.lists(st.sampled_from("abcdefg"), min_size=0, max_size=50).map(" ".join), min_size=1, max_size=60)


@given(TEXTS, st.integers(1, 200))
def test_scores_keep_the_order_of_the_texts_within_the_budget(texts, budget):
    shapes = []

    def run(ids, mask):
        shapes.append(ids.shape)
        return length_of(ids, mask)

    logits = score_in_batches(texts, TOKENIZER, run, tokens_a_batch=budget)
    expected = np.concatenate([length_of(*pad([ids])) for ids in TOKENIZER.encode(texts).ids])
    assert logits.dtype == np.float32
    assert (logits == expected).all()
    assert sum(rows for rows, _ in shapes) == len(texts)
    assert all(rows == 1 or rows * width <= budget for rows, width in shapes)


def test_batches_are_as_full_as_the_budget_allows():
    shapes = []

    def run(ids, mask):
        shapes.append(ids.shape)
        return length_of(ids, mask)

    score_in_batches(["a b c d"] * 10, TOKENIZER, run, tokens_a_batch=16)
    assert shapes == [(4, 4), (4, 4), (2, 4)]


def test_no_text_is_refused():
    with pytest.raises(ValueError) as caught:
        score_in_batches([], TOKENIZER, length_of)
    assert str(caught.value) == "texts must hold at least one text, got none"
