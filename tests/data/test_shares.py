"""Laws of shifted classes: what chance makes is not named, what it does not make is, and the worst class is shown."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scriptchain.data.check import check
from scriptchain.data.records import Records
from scriptchain.data.shares import shift

some = st.lists(st.sampled_from("abcd"), min_size=1, max_size=40)


@given(some, some)
def test_the_distance_is_the_share_of_rows_that_would_have_to_change(labels, others):
    found, back = shift(labels, others), shift(others, labels)
    assert found is not None
    assert back is not None
    shares = [{name: side.count(name) / len(side) for name in "abcd"} for side in (labels, others)]
    apart = {name: shares[0][name] - shares[1][name] for name in "abcd"}
    assert found["distance"] == pytest.approx(sum(max(0.0, value) for value in apart.values()))
    assert found["distance"] == pytest.approx(back["distance"])
    assert abs(apart[found["label"]]) == pytest.approx(max(map(abs, apart.values())))
    assert found["share"] - found["other_share"] == pytest.approx(apart[found["label"]])
    assert 0 < found["p_value"] <= 1


def test_rows_that_are_dealt_by_chance_have_every_p_value_alike():
    rng = np.random.default_rng(0)
    labels = np.repeat(list("abcde"), [200, 100, 60, 30, 10])
    deals = [rng.permutation(labels).tolist() for _ in range(400)]
    values = np.array([one["p_value"] for deal in deals if (one := shift(deal[:300], deal[300:]))])
    for level in (0.05, 0.2, 0.5):
        spread = 3 * np.sqrt(level * (1 - level) / len(values))
        assert abs((values <= level).mean() - level) < spread


def test_equal_shares_are_no_shift_and_other_classes_are_a_whole_one():
    same = shift(["a", "b"] * 50, ["a", "b"] * 20)
    other = shift(["a"] * 50, ["b"] * 50)
    assert same is not None
    assert other is not None
    assert (same["distance"], same["p_value"]) == (0, 1)
    assert other["distance"] == 1
    assert other["p_value"] < 0.001
    assert shift([], ["a"]) is None


def rows(first: int, second: int, source: str) -> Records:
    texts = [f"{source} text {number}" for number in range(first + second)]
    return Records(texts, ["yes"] * first + ["no"] * second, list(range(first + second)), source)


def test_a_shift_is_named_where_it_is_sure_and_far():
    report = check(rows(300, 300, "train.csv"), rows(200, 100, "test.csv"))
    assert report["shift"]["distance"] == pytest.approx(1 / 6)
    assert (
        "the shares of the classes are others in test.csv, by 16.7 % of the rows: 'no' has 50.0 % here and 33.3 % "
        "there; calibration and coverage do not carry over"
    ) in report["warnings"]
    assert report["clean"]
    sides = [
        (rows(300, 300, "a.csv"), rows(20, 14, "b.csv")),  # not sure
        (rows(30_000, 30_000, "a.csv"), rows(15_400, 14_600, "b.csv")),  # not far
        (rows(30, 30, "a.csv"), None),
    ]
    for here, there in sides:
        assert not any("shares" in line for line in check(here, there)["warnings"])
