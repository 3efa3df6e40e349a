"""Laws of the learning rate: it starts low, peaks at one, and ends where its shape says."""

from itertools import pairwise

import pytest

from scriptchain import config
from scriptchain.training.schedule import learning_rate_factor

STEPS = 20


def factors(**changes: object) -> list[float]:
    made = config.replace(config.resolve("small"), epochs=10, **changes)
    factor = learning_rate_factor(made, STEPS)
    return [factor(step) for step in range(10 * STEPS)]


@pytest.mark.parametrize("schedule", ["constant", "step", "cosine"])
@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.5])
def test_never_negative_never_above_the_peak_and_rising_through_warm_up(schedule, warmup):
    values = factors(schedule=schedule, warmup=warmup, gamma=1.0)
    assert all(0 <= value <= 1 for value in values)
    rise = values[: round(warmup * len(values))]
    assert all(before < after for before, after in pairwise(rise))
    assert max(values) == 1.0


def test_cosine_falls_to_nothing_and_is_half_way_in_the_middle():
    values = factors(schedule="cosine", warmup=0.0)
    assert values[-1] < 1e-3
    assert values[len(values) // 2] == pytest.approx(0.5)


def test_step_is_the_studys_staircase():
    values = factors(schedule="step", warmup=0.0, step_size=5, gamma=0.8)
    assert values[: 5 * STEPS] == [1.0] * (5 * STEPS)
    assert values[5 * STEPS :] == [0.8] * (5 * STEPS)
