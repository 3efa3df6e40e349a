"""Every random choice of a training run comes from one seed; the caller's own random state is left as it was."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Initial values and dropout inside the block follow from `seed` alone."""
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


def order_stream(seed: int, epoch: int) -> np.random.Generator:
    """The order of the rows in one epoch: a stream of its own, so that a model with more parameters sees the same."""
    return np.random.default_rng([seed, epoch])
