"""What a run will need, said before it begins: memory in closed form, time from a few real steps."""

import copy
import os
import time
from collections.abc import Callable
from itertools import pairwise

from torch import nn

from ..config import Config
from ..errors import ConfigError
from ..positions import Size, num_parameters


def memory_bytes(config: Config, vocab_size: int, num_classes: int) -> int:
    """Peak bytes of training in fp32: weights, gradients, two Adam moments, the kept best, and activations."""
    d, ff, length = config.d_model, config.d_feedforward, config.max_seq_len
    norms = 0 if config.residual == "rezero" else 4 * d
    gains = 2 * (config.residual == "rezero") + 2 * d * (config.layer_scale > 0)
    heads = 2 * (d // config.num_heads) * config.qk_norm
    layer = 4 * d * d + 2 * d * ff + 5 * d + ff + norms + gains + heads
    again = (config.num_layers - 1) * (2 * d + 1) * config.positions_reinjected
    widths = [d * config.pooled_layers, *config.head_layers, num_classes]
    head = sum(before * after + after for before, after in pairwise(widths))
    size = Size(d, config.num_heads, config.num_layers, length, config.embedding_std)
    positions = num_parameters(config.positions, size, config.positions_options, shared=config.positions_shared)
    parameters = vocab_size * d + positions + config.num_layers * layer + again + head
    tokens = config.batch_tokens + 2 * length if config.batch_tokens else config.batch_size * length
    activations = tokens * config.num_layers * (14 * d + 4 * ff + 4 * config.num_heads * length)
    return 4 * (5 * parameters + activations)


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
