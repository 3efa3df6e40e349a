"""Does padding leak into the answers? Checked first, since every other measurement would read it."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..errors import UsageError
from .intervals import Measured
from .order import relative
from .stack import Batch, Stack

MORE = 3  # pads behind every text


def leak(stack: Stack, batches: Sequence[Batch]) -> Measured:
    """How far answers move when each text gets more pads, relative to the answers of two texts; 0 is right.

    Texts at the limit of the module's length are left out of the longer batch by padding only up to the widest batch.

    *Raises*: UsageError where the number of logits depends on the length.
    """
    widest = max(batch.mask.shape[1] for batch in batches)
    moved, natural = [], []
    for batch in batches:
        real = int(batch.mask.sum(1).max())
        narrow = _cut(batch, real)
        wide = _padded(narrow, min(widest, real + MORE))
        if wide.mask.shape[1] == real:
            continue
        natural.append(stack.answers(narrow))
        moved.append(stack.answers(wide))
    if not moved:  # every text is as long as the module takes: shorten them all by the last column
        for batch in batches:
            shorter = _cut(batch, batch.mask.shape[1] - 1)
            natural.append(stack.answers(shorter))
            moved.append(stack.answers(_padded(shorter, batch.mask.shape[1])))
    widths = {answer.shape[1] for answer in (*natural, *moved)}
    if len(widths) > 1:
        raise UsageError(
            f"the module must return as many logits at every length, got {' and '.join(map(str, sorted(widths)))}",
            hint="forward=lambda module, inputs, mask: ...",
        )
    return relative(torch.cat(natural).cpu().numpy(), torch.cat(moved).cpu().numpy())


def _cut(batch: Batch, width: int) -> Batch:
    return Batch(
        batch.inputs[:, :width], batch.mask[:, :width], batch.labels,
        None if batch.special is None else batch.special[:, :width],
    )  # fmt: skip


def _padded(batch: Batch, width: int) -> Batch:
    """Pads are zeros of the inputs' kind: a module with a mask must not care what they hold."""
    more = width - batch.mask.shape[1]

    def grown(part: Tensor) -> Tensor:
        return torch.cat([part, part.new_zeros(part.shape[0], more, *part.shape[2:])], 1)

    special = None if batch.special is None else grown(batch.special)
    return Batch(grown(batch.inputs), grown(batch.mask), batch.labels, special)
