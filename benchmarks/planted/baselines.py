"""What other tools ask of the same stacks, restated from their papers and documentation in their own terms.

AutoTrainer (ICSE 2021): gradient of the first layer's weights over the last layer's below 1e-3, or above 1e3.
TorchLens: a gradient whose norm is below 1e-7 or above 1e4, whatever those beside it are.
Cosine: tokens of a text whose mean cosine in some layer is above 0.9, without a look at other texts.
Probe: positions are absent where a linear probe on natural text reads fewer than 1.5 of L places by chance, 1 / L.
"""

from typing import Any

import torch
from plants import LONGEST, Encoder, Subject, task
from torch import nn

from scriptchain.lab.gradients import stand_in
from scriptchain.lab.places import _probe
from scriptchain.lab.stack import Stack
from scriptchain.lab.streams import collect

RULES = {
    "AutoTrainer's ratio below 1e-3": "stream_gradient_vanishing",
    "AutoTrainer's ratio above 1e3": "stream_gradient_exploding",
    "TorchLens' gradient below 1e-7, streams": "stream_gradient_vanishing",
    "TorchLens' gradient below 1e-7, queries": "query_key_starvation",
    "TorchLens' gradient above 1e4": "stream_gradient_exploding",
    "raw cosine above 0.9": "rank_collapse",
    "probe on natural text against 1 / L": "position_absent",
}


def holding(subject: Subject, data: dict[str, Any]) -> list[str]:
    """The rules that hold of a stack; `data` is what `examine` says of it."""
    stack = Stack(subject.module, subject.batches[0])
    norms = _norms(stack, subject)
    first, last = norms[0], norms[-1]
    ratio = first.square().sum().sqrt() / last.square().sum().sqrt()
    smallest, largest = min(float(one.min()) for one in norms), max(float(one.max()) for one in norms)
    held = {
        "AutoTrainer's ratio below 1e-3": ratio < 1e-3,
        "AutoTrainer's ratio above 1e3": ratio > 1e3,
        "TorchLens' gradient below 1e-7, streams": smallest < 1e-7,
        "TorchLens' gradient below 1e-7, queries": smallest < 1e-7,
        "TorchLens' gradient above 1e4": largest > 1e4,
        "raw cosine above 0.9": max(layer["cosine_within"] for layer in data["layers"]) > 0.9,
        "probe on natural text against 1 / L": isinstance(subject.module, Encoder) and _natural(stack) < 1.5 / LONGEST,
    }
    return [rule for rule, holds in held.items() if holds]


def _norms(stack: Stack, subject: Subject) -> list[torch.Tensor]:
    """By layer, the norms of the gradients of its matrices."""
    stack.module.zero_grad()
    seen = stack.run(subject.batches[0], keep_gradients=True)
    stand_in()(seen.answer, subject.batches[0]).backward()
    found = [torch.tensor([float(part.weight.grad.norm()) for part in layer.modules()
                           if isinstance(part, nn.Linear) and part.weight.grad is not None], dtype=torch.float64)
             for layer in stack.layers]  # fmt: skip
    stack.module.zero_grad()
    return found


def _natural(stack: Stack) -> float:
    """Accuracy of a probe for places on generated sentences, where words tell much of their place."""
    streams = collect(stack, [task("roles", "train", 256, 0)])
    training = torch.from_numpy(streams.text < 180).numpy()
    return float(_probe(streams.layers[0].double(), streams.place, training).mean())
