"""Small experiments: pairs are pairs, chance has its arm, and a cure is called one only where it is."""

import math

import numpy as np
import pytest

from scriptchain import config
from scriptchain.errors import UsageError
from scriptchain.lab.thresholds import THRESHOLDS
from scriptchain.training.loop import Examples
from scriptchain.trials.cure import SEEDS, _conclusion, cure, plan
from scriptchain.trials.curves import _cannot_train, _gap_slope, _state, curves
from scriptchain.trials.paired import Arm, Task, Trial, run, train
from scriptchain.trials.remedies import REMEDIES, random_change, remedies_for

TINY = config.replace(
    config.resolve("small"), d_model=16, num_heads=2, d_feedforward=32, num_layers=2, max_seq_len=8, epochs=3,
    positions="learned", positions_options={}, learning_rate=3e-3, patience=0, residual="post_norm",
)  # fmt: skip


def examples(rows: int, seed: int, noise: float = 0.0) -> Examples:
    """Which of two words stands in the text decides; with noise some labels are wrong."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, rows)
    ids = [np.concatenate([[4 + label], rng.integers(6, 40, 5)]).astype(np.int64) for label in labels]
    wrong = rng.random(rows) < noise
    return Examples(ids, np.where(wrong, 1 - labels, labels), np.ones(rows, np.float32))


def task(noise: float = 0.0) -> Task:
    return Task(examples(96, 0, noise), examples(64, 1), examples(64, 2), 40, 2)


def test_arms_of_a_seed_see_the_same_and_another_seed_does_not():
    one, again, other = (
        train(Arm(name, "as it is", TINY, offset), seed, task(), task().score)
        for name, seed, offset in (("a", 1, 0), ("b", 1, 0), ("c", 1, 10_000))
    )

    def weights(trial):
        return np.concatenate([value.numpy().ravel() for value in trial.network.state_dict().values()])

    assert np.array_equal(weights(one), weights(again))
    assert not np.array_equal(weights(one), weights(other))


def test_a_training_that_diverges_answers_with_the_most_frequent_class():
    wild = config.replace(TINY, learning_rate=10.0, clip_norm=0.0, epochs=40, optimizer="adam", residual="pre_norm")
    poisoned = task()
    poisoned.train.weights[:] = math.inf
    trial = train(Arm("wild", "remedy", wild), 0, poisoned, poisoned.score)
    assert trial.diverged
    assert trial.accuracy == np.bincount(poisoned.score.labels).max() / 64
    assert trial.network is None


def test_a_budget_that_is_too_small_says_what_is_enough(monkeypatch):
    for module in ("cure", "curves"):
        monkeypatch.setattr(f"scriptchain.trials.{module}.estimate", lambda arms, task: [60.0 for _ in arms])
    with pytest.raises(UsageError) as caught:
        curves(TINY, [1, 2], task(), minutes=0.1)
    assert str(caught.value) == (
        "--minutes must be at least 4 for 2 depths and 3 seeds, got 0.1; hint: fewer depths or rows"
    )
    with pytest.raises(UsageError) as caught:
        plan(TINY, ["rank_collapse"], task(), minutes=0.1)
    assert str(caught.value) == (
        "--minutes must be at least 14 for 6 arms and 3 seeds, got 0.1; hint: fewer rows, or a smaller config"
    )


def test_every_remedy_names_verdicts_and_changes_something():
    for remedy in REMEDIES:
        assert set(remedy.cures) <= set(THRESHOLDS), remedy.name
        assert remedy.source
    named = {verdict for remedy in REMEDIES for verdict in remedy.cures}
    assert {"rank_collapse", "query_key_starvation", "position_absent", "overfitting", "entropy_collapse"} <= named
    for _, changed in remedies_for(config.replace(TINY, num_layers=24), list(THRESHOLDS)):
        assert changed != TINY


def test_only_remedies_of_what_holds_are_tried():
    names = [remedy.name for remedy, _ in remedies_for(TINY, ["overfitting"])]
    assert "more dropout" in names
    assert "pre_norm" not in names
    assert remedies_for(TINY, ["identical_layers"]) == []
    already = config.replace(TINY, residual="pre_norm")
    assert "pre_norm" not in [remedy.name for remedy, _ in remedies_for(already, ["rank_collapse"])]


def test_remedies_fit_the_config():
    rotated = config.replace(TINY, positions="rope", num_layers=24, residual_scale=0.3)
    found = {remedy.name: changed for remedy, changed in remedies_for(rotated, ["position_lost", "rank_collapse"])}
    assert "positions at every layer" not in found  # rope adds nothing to the stream
    assert found["deep_norm"].residual_scale == found["rezero"].residual_scale == 1.0
    added = config.replace(TINY, num_layers=24)
    assert "positions at every layer" in [remedy.name for remedy, _ in remedies_for(added, ["position_lost"])]


def test_a_random_change_is_no_remedy_and_follows_the_seed():
    said = {random_change(TINY, seed)[0] for seed in range(20)}
    assert len(said) >= 4
    assert random_change(TINY, 3) == random_change(TINY, 3)
    for seed in range(20):
        changed = random_change(TINY, seed)[1]
        assert changed != TINY
        assert (changed.residual, changed.num_layers, changed.positions) == ("post_norm", 2, "learned")


def test_a_random_change_of_the_batch_is_one_that_counts():
    by_tokens = config.replace(TINY, batch_tokens=4 * TINY.max_seq_len)
    found = [random_change(by_tokens, seed)[1] for seed in range(20)]
    assert {one.batch_size for one in found} == {TINY.batch_size}
    assert {one.batch_tokens for one in found} == {by_tokens.batch_tokens, by_tokens.batch_tokens // 2}


def test_a_plan_says_how_long_and_keeps_to_a_budget():
    verdicts, rows = ["rank_collapse"], task()
    whole = plan(TINY, verdicts, rows)
    assert whole.epochs == TINY.epochs
    assert whole.seconds > 0
    kinds = {arm.kind for arm in [*whole.screened, *whole.kept]}
    assert kinds == {"remedy", "shallower", "as it is", "no change", "random"}
    longer = config.replace(TINY, epochs=300)
    shorter = plan(longer, verdicts, rows, minutes=plan(longer, verdicts, rows).seconds / 60 / 3)
    assert 2 <= shorter.epochs < 200
    assert all(arm.config.epochs == shorter.epochs for arm in [*shorter.screened, *shorter.kept])
    with pytest.raises(UsageError, match="verdicts must have a remedy"):
        plan(TINY, ["identical_layers"], rows)


def arm(kind: str, accuracy: float, difference: tuple[float, float, float], holds: int) -> dict:
    value, low, high = difference
    return {
        "kind": kind, "name": kind, "accuracy": {"value": accuracy},
        "difference": {"value": value, "low": low, "high": high}, "metric": [0.1] * 3, "holds": holds,
    }  # fmt: skip


def concluded(remedy: dict, shallower: float = 0.6) -> dict:
    arms = [
        arm("as it is", 0.3, (0, 0, 0), 3), arm("no change", 0.31, (0.01, -0.02, 0.04), 3),
        arm("random", 0.28, (-0.02, -0.05, 0.01), 3), remedy, arm("shallower", shallower, (0.3, 0.2, 0.4), 0),
    ]  # fmt: skip
    return _conclusion(arms, "pre_norm", TINY, "rank_collapse")


def test_the_metric_may_be_cured_without_the_accuracy():
    found = concluded(arm("remedy", 0.31, (0.01, -0.03, 0.05), 0))
    assert found["cured_metric"]
    assert not found["cured_accuracy"]
    assert found["winner"] is None
    assert "cured the metric (rank_collapse), not the accuracy" in found["says"]
    assert any("below the best shallower" in line for line in found["says"])


def test_a_cure_must_beat_luck():
    cured = concluded(arm("remedy", 0.595, (0.295, 0.25, 0.34), 0))
    assert cured["winner"] is not None
    assert any("within a point of the best shallower" in line for line in cured["says"])
    lucky = concluded(arm("remedy", 0.31, (0.015, 0.001, 0.03), 0))
    assert lucky["winner"] is None
    assert any("no more than another seed or a random change" in line for line in lucky["says"])


def test_a_cure_runs_from_plan_to_report():
    rows, lines = task(), []
    planned = plan(TINY, ["rank_collapse"], rows)
    batches = _batches(rows.train)
    found = cure(TINY, ["rank_collapse"], rows, batches, planned, progress=lines.append)
    assert {one["kind"] for one in found["arms"]} == {"as it is", "no change", "random", "remedy", "shallower"}
    assert all(len(one["trials"]) == SEEDS == len(one["metric"]) for one in found["arms"])
    assert found["arms"][0]["difference"]["value"] == 0
    assert "at most about" in lines[0]
    assert all("left" in line for line in lines[1:])
    assert {one["seed"] for one in found["screening"]}.isdisjoint(found["seeds"])


def _batches(rows: Examples):
    import torch

    from scriptchain.lab import Batch

    ids = torch.from_numpy(np.stack(rows.ids))
    return [Batch(ids, torch.ones_like(ids, dtype=torch.bool), torch.from_numpy(rows.labels))]


def test_depth_is_trained_and_its_gap_is_judged():
    found = curves(TINY, [1, 2], task(noise=0.3))
    assert found["verdict"] in ("TRUE", "FALSE", "UNDECIDED")
    assert [one["depth"] for one in found["points"]] == [1, 2]
    for one in found["points"]:
        assert one["gap"]["value"] == pytest.approx(one["fitted"]["value"] - one["accuracy"]["value"])
    with pytest.raises(UsageError, match="depths must be at least two"):
        curves(TINY, [3], task())


def trial(depth: int, fitted: float, accuracy: float) -> Trial:
    return Trial(Arm("", "depth", config.replace(TINY, num_layers=depth)), 0, accuracy, fitted, 0.0, None)


def test_what_cannot_train_is_no_evidence_about_overfitting():
    learns = [trial(depth, 0.99, 0.9 - 0.05 * level) for level, depth in enumerate((1, 2, 4)) for _ in range(3)]
    slope = _gap_slope(learns)
    assert slope["value"] == pytest.approx(0.05)
    assert slope["low"] > 0
    points = [{"depth": depth, "fitted": {"value": value}} for depth, value in ((1, 0.97), (3, 0.99), (12, 0.4))]
    assert _cannot_train(points) == [12]


@pytest.mark.parametrize(
    ("low", "high", "learned", "state"),
    [
        (0.01, 0.1, 0.99, "TRUE"), (-0.01, 0.01, 0.99, "FALSE"), (-0.05, 0.06, 0.99, "UNDECIDED"),
        (-0.01, 0.01, 0.6, "UNDECIDED"), (0.01, 0.1, 0.6, "UNDECIDED"),
    ],
)  # fmt: skip
def test_a_gap_is_judged_only_where_rows_are_learned(low, high, learned, state):
    assert _state({"value": (low + high) / 2, "low": low, "high": high}, learned) == state


def test_trials_are_told_as_they_come():
    lines, seen = [], []
    arms = [Arm("one", "as it is", TINY), Arm("two", "remedy", TINY)]
    found = run(arms, [0, 1], task(), task().score, seconds=60.0, progress=lines.append, each=seen.append)
    assert [trial.arm.name for trial in found] == ["one", "two", "one", "two"]
    assert seen == found
    assert lines[0].startswith("1 of 4: one, seed 0: accuracy ")
