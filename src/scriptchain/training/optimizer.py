"""Adam or AdamW; what is learned about positions, norms and biases is never decayed."""

import torch
from torch import nn

from ..config import Config
from ..positions import PositionalEncoding


def make_optimizer(network: nn.Module, config: Config) -> torch.optim.Optimizer:
    """Three groups: weight matrices (decayed), norms and biases, and the encodings' own parameters.

    With `layer_decay` each is split by layer; a group's `share` is what it takes of the learning rate, for the
    encodings' times `positions_rate`.
    *Source*: arXiv 1801.06146, 2006.05987.
    """
    positions = {
        id(parameter)
        for module in network.modules()
        if isinstance(module, PositionalEncoding)
        for parameter in module.parameters()
    }
    groups: dict[tuple[str, int], list[nn.Parameter]] = {
        (kind, 0): [] for kind in ("weights", "norms_and_biases", "positions")
    }
    for name, parameter in network.named_parameters():
        kind = "positions" if id(parameter) in positions else "weights" if parameter.dim() > 1 else "norms_and_biases"
        below = _layers_above(name, config.num_layers) if config.layer_decay != 1 else 0
        groups.setdefault((kind, below), []).append(parameter)
    parameters = [
        {"params": members, "name": name, "weight_decay": config.weight_decay if name == "weights" else 0.0,
         "share": config.layer_decay**below * (config.positions_rate if name == "positions" else 1.0)}
        for (name, below), members in groups.items()
        if members
    ]  # fmt: skip
    make = torch.optim.Adam if config.optimizer == "adam" else torch.optim.AdamW
    return make(parameters, lr=config.learning_rate, fused=True)


def _layers_above(name: str, num_layers: int) -> int:
    """By how many layers a parameter lies below the head: 0 in the head and the last norm, most in the embeddings."""
    place = name.removeprefix("encoder.").split(".")
    if place[0] == "layers":
        return num_layers - int(place[1])
    return 0 if place[0] in ("head", "final_norm") else num_layers + 1
