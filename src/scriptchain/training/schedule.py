"""The learning rate as a share of its peak, step by step."""

import math
from collections.abc import Callable

from ..config import Config


def learning_rate_factor(config: Config, steps_per_epoch: int) -> Callable[[int], float]:
    """A function of the step number (from 0): linear warm-up times a constant, a staircase or a half cosine."""
    total = config.epochs * steps_per_epoch
    warmup = round(config.warmup * total)

    def shape(step: int) -> float:
        if config.schedule == "step":
            return config.gamma ** (step // steps_per_epoch // config.step_size)
        if config.schedule == "cosine":
            done = (step - warmup) / max(1, total - warmup)
            return 0.5 * (1 + math.cos(math.pi * min(1.0, max(0.0, done))))
        return 1.0

    return lambda step: min(1.0, (step + 1) / warmup) * shape(step) if warmup else shape(step)
