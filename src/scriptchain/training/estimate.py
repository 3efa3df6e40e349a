"""What a run will need, said before it begins: memory in closed form, time from a few real steps."""

import copy
import inspect
import os
import re
import time
from collections.abc import Callable
from itertools import pairwise

from torch import nn

from ..config import Config
from ..errors import ConfigError
from ..positions import Size, load


def memory_bytes(config: Config, vocab_size: int, num_classes: int) -> int:
    """Peak bytes of training in fp32: weights, gradients, two Adam moments, the kept best, and activations."""
    d, ff, length = config.d_model, config.d_feedforward, config.max_seq_len
    layer = 4 * d * d + 2 * d * ff + 9 * d + ff
    widths = [d, *config.head_layers, num_classes]
    head = sum(before * after + after for before, after in pairwise(widths))
    parameters = vocab_size * d + _of_positions(config) + config.num_layers * layer + head
    tokens = config.batch_size * length
    activations = tokens * config.num_layers * (14 * d + 4 * ff + 4 * config.num_heads * length)
    return 4 * (5 * parameters + activations)


def _of_positions(config: Config) -> int:
    """Learned numbers of the encodings; exact at default options and where the encoding counts by its options."""
    size = Size(config.d_model, config.num_heads, config.num_layers, config.max_seq_len, config.embedding_std)
    parts = re.split(r"[+/]", config.positions)
    total = 0
    for part in parts:
        kind = load(part)
        own = config.positions_options if len(parts) == 1 else config.positions_options.get(part, {})
        counted = inspect.signature(kind.num_parameters).parameters
        options = {key: value for key, value in own.items() if key in counted} if isinstance(own, dict) else {}
        layers = config.num_layers if kind.every_layer and not config.positions_shared else 1
        total += layers * kind.num_parameters(size, **options)
    return total


def refuse_what_cannot_fit(config: Config, vocab_size: int, num_classes: int) -> int:
    """The estimate in bytes. Raises ConfigError, before anything is allocated, if the machine has less memory."""
    needed = memory_bytes(config, vocab_size, num_classes)
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > there:
        raise ConfigError(
            f"the model must fit into {there / 2**30:.0f} GiB of memory, got an estimate of {needed / 2**30:,.0f} GiB",
            hint="lower d_model, num_layers, max_seq_len, vocab_size or batch_size",
        )
    return needed


def seconds_a_step(network: nn.Module, step: Callable[[nn.Module], None], repeats: int = 2) -> float:
    """Wall seconds of one optimizer step, timed on a copy, so that the run itself is not touched."""
    trial = copy.deepcopy(network)
    step(trial)
    start = time.perf_counter()
    for _ in range(repeats):
        step(trial)
    return (time.perf_counter() - start) / repeats
