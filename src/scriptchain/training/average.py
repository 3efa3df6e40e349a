"""The average of the weights over the last steps: smoother than the weights themselves, for free."""

import copy

import torch
from torch import nn


class Average:
    """An exponential moving average of the weights: what is validated and kept, while training goes on beside it.

    `decay` is the share that stays at each step, less at the beginning, when there is little to average; 0 is the
    network itself. *Source*: Polyak and Juditsky 1992; arXiv 1703.01780 for the exponential form.
    """

    def __init__(self, network: nn.Module, decay: float):
        self.decay = decay
        self.network = copy.deepcopy(network) if decay else network

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """After each optimizer step, counted from 1."""
        if self.decay:
            decay = min(self.decay, (1 + step) / (10 + step))
            for mean, parameter in zip(self.network.parameters(), network.parameters(), strict=True):
                mean.lerp_(parameter, 1 - decay)
