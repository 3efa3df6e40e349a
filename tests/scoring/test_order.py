"""Laws of word order: shuffling moves words and nothing else, and the effect of nothing is nothing."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scriptchain.errors import DataError
from scriptchain.scoring.intervals import paired_difference
from scriptchain.scoring.order import order_effect, shuffle_words

WORDS = st.lists(st.sampled_from(["a", "b", "não", "猫", "🙂", "\ud800"]), max_size=8)


@given(WORDS, st.integers(0, 2**40))
def test_shuffling_keeps_the_words_and_changes_their_order(words, seed):
    text = " ".join(words)
    shuffled = shuffle_words(text, seed)
    assert Counter(shuffled.split()) == Counter(words)
    assert shuffled == shuffle_words(text, seed)
    assert (shuffled.split() != words) == (len(set(words)) > 1)


@given(st.text())
def test_any_text_keeps_its_words(text):
    assert Counter(shuffle_words(text, 3).split()) == Counter(text.split())


def test_one_word_stays_as_it_is():
    assert shuffle_words("  again\tagain ", 1) == "  again\tagain "


def test_seed_and_text_both_choose_the_order():
    words = [str(number) for number in range(20)]
    assert len({shuffle_words(" ".join(words), seed) for seed in range(50)}) == 50
    moved = [shuffle_words(" ".join([*words, tail])).split().index("0") for tail in "abcdefgh"]
    assert len(set(moved)) > 1  # texts that differ in one word are not shuffled alike


def test_all_other_orders_are_equally_likely():
    drawn = Counter(shuffle_words("a b c", seed) for seed in range(5_000))
    assert len(drawn) == 5
    assert all(900 < count < 1_100 for count in drawn.values())


def test_the_order_is_pinned_across_versions():
    assert shuffle_words("the cat sat on the mat", 0) == "mat the on the cat sat"


def test_the_effect_of_nothing_is_nothing():
    logits = np.random.default_rng(0).normal(size=(50, 3))
    effect = order_effect(logits.argmax(axis=1), logits, logits + 7)  # a constant changes no probability
    assert effect["model_uses_order"]["flip_rate"] == 0
    assert effect["model_uses_order"]["logit_distance"] == pytest.approx(0, abs=1e-12)
    assert effect["data_needs_order"]["value"] == 0
    assert effect["data_needs_order"]["low"] < 0 < effect["data_needs_order"]["high"]


def test_the_cost_of_shuffling_is_a_paired_difference_in_points():
    generator = np.random.default_rng(1)
    truth = generator.integers(0, 3, 200)
    logits, shuffled = generator.normal(size=(2, 200, 3))
    logits[np.arange(200), truth] += 3
    effect = order_effect(truth, logits, shuffled, seed=4)
    drop = paired_difference(truth, logits.argmax(axis=1), shuffled.argmax(axis=1), 3, seed=4)
    assert effect["data_needs_order"] == {key: 100 * bound for key, bound in drop.items()}
    assert effect["data_needs_order"]["low"] > 20
    others = [order_effect(truth, logits, shuffled, seed)["data_needs_order"] for seed in range(9)]
    assert len({other["high"] for other in others}) > 1
    assert effect["model_uses_order"]["flip_rate"] == np.mean(logits.argmax(axis=1) != shuffled.argmax(axis=1))


def test_distance_is_measured_in_typical_logit_norms():
    logits = np.array([[3.0, -3.0], [1.0, -1.0]])
    moved = np.array([[-3.0, 3.0], [1.0, -1.0]])
    mean, typical = math.sqrt(72) / 2, math.sqrt((18 + 2) / 2)
    for scale in (1, 1e-6, 1e6):
        effect = order_effect(None, scale * logits, scale * moved)
        assert effect == {"model_uses_order": {"flip_rate": 0.5, "logit_distance": pytest.approx(mean / typical)}}


def test_constant_logits_have_no_distance_but_to_others():
    constant, other = np.full((4, 3), 0.1), np.eye(4, 3)
    assert order_effect(None, constant, constant)["model_uses_order"]["logit_distance"] == 0
    assert order_effect(None, constant, other)["model_uses_order"]["logit_distance"] == math.inf


@pytest.mark.parametrize(
    ("logits", "shuffled", "message"),
    [
        (np.zeros((2, 3)), np.zeros((3, 3)), "logits must be two equal rows x classes, got (2, 3) and (3, 3)"),
        (np.zeros(3), np.zeros(3), "logits must be two equal rows x classes, got (3,) and (3,)"),
        (np.zeros((0, 3)), np.zeros((0, 3)), "logits must be two equal rows x classes, got (0, 3) and (0, 3)"),
        (np.zeros((1, 2)), np.array([[0, math.nan]]), "logits must be finite, got NaN or infinity"),
    ],
)
def test_logits_that_cannot_be_compared_are_refused(logits, shuffled, message):
    with pytest.raises(DataError) as error:
        order_effect(None, logits, shuffled)
    assert str(error.value) == message
