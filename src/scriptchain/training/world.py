"""The processes that train one model together, as `torchrun` and `accelerate launch` start them.

Each takes every n-th row of a batch that is n times as large, and all take the same step: what one process with that
batch would have done, but for the order in which numbers are added. The first one leads: it alone writes and speaks.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, distributed, nn

from ..data.batches import Batch, part
from ..errors import ResourceError
from ..launched import processes


@dataclass(frozen=True)
class World:
    """`size` processes, of which this is number `rank` (0-based)."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def mine(self, batch: Batch) -> Batch | None:
        """The rows of a batch that are this process's, or none."""
        if self.size == 1:
            return batch
        mine = slice(self.rank, None, self.size)
        return part(batch, mine) if len(batch.rows) > self.rank else None

    def seed(self, seed: int, step: int) -> None:
        """Gives each process but the first dropout of its own, which follows from the step, so that a run can go on."""
        if not self.leads:
            torch.manual_seed(int(np.random.SeedSequence([seed, step, self.rank]).generate_state(1, np.uint64)[0]) >> 1)

    def share(
        self, parameters: Iterable[nn.Parameter], mass: float, loss: float, counts: Sequence[float]
    ) -> list[float]:
        """The mean of all processes' losses and, in place, gradients, each by its `mass`; and the sums of `counts`.

        A parameter without a gradient anywhere stays without one.
        """
        if self.size == 1:
            return [loss, *counts]
        own = list(parameters)
        told = [mass, mass * loss if mass else 0.0, *counts, *(float(one.grad is not None) for one in own)]
        parts = [torch.tensor(told, device=own[0].device)]
        parts += [(torch.zeros_like(one) if one.grad is None else mass * one.grad).flatten() for one in own]
        together = self.sum(torch.cat([part.float() for part in parts]))
        whole, loss, *counts = together[: 2 + len(counts)].tolist()
        found = together[2 + len(counts) :][: len(own)].tolist()
        gradients = together[len(told) :].div_(max(whole, 1e-12)).split([one.numel() for one in own])
        for one, known, gradient in zip(own, found, gradients, strict=True):
            one.grad = gradient.view_as(one).to(one.dtype) if known else None
        return [loss / max(whole, 1e-12), *counts]

    def sum(self, tensor: Tensor) -> Tensor:
        """Of all processes' tensors, the same everywhere; in place."""
        if self.size > 1:
            try:
                distributed.all_reduce(tensor)
            except RuntimeError:
                raise ResourceError(
                    f"all {self.size} processes must stay, and one of them is gone",
                    hint="the same command with --resume goes on",
                ) from None
        return tensor

    def wait(self) -> None:
        """Until all processes are here."""
        self.sum(torch.zeros(1))


ALONE = World()


def joined() -> World:
    """This process's, joined to the others where a launcher has started several."""
    if processes() == 1:
        return ALONE
    if not distributed.is_initialized():
        distributed.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    return World(distributed.get_rank(), distributed.get_world_size())
