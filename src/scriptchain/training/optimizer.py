"""Adam or AdamW; what is learned about positions, norms and biases is never decayed."""

import torch
from torch import nn

from ..config import Config
from ..positions import PositionalEncoding


def make_optimizer(network: nn.Module, config: Config) -> torch.optim.Optimizer:
    """Three groups: weight matrices (decayed), norms and biases, and the encodings' own parameters."""
    positions = {
        id(parameter)
        for module in network.modules()
        if isinstance(module, PositionalEncoding)
        for parameter in module.parameters()
    }
    groups: dict[str, list[nn.Parameter]] = {"weights": [], "norms_and_biases": [], "positions": []}
    for parameter in network.parameters():
        kind = "positions" if id(parameter) in positions else "weights" if parameter.dim() > 1 else "norms_and_biases"
        groups[kind].append(parameter)
    parameters = [
        {"params": members, "name": name, "weight_decay": config.weight_decay if name == "weights" else 0.0}
        for name, members in groups.items()
        if members
    ]
    make = torch.optim.Adam if config.optimizer == "adam" else torch.optim.AdamW
    return make(parameters, lr=config.learning_rate, fused=True)
