"""Layers that are copies of each other: a stack built by copying one layer starts as one layer applied many times."""

from collections.abc import Sequence
from itertools import combinations

import torch
from torch import nn


def likeness(layers: Sequence[nn.Module]) -> tuple[float, tuple[int, int]]:
    """The greatest cosine between the matrices of two different layers, and which two (from 1); 0 for one layer.

    Gains and biases start alike in every healthy stack and do not count; layers that are one module share by design.
    """
    vectors = []
    for layer in layers:
        parts = [p.detach().double().flatten() for p in layer.parameters() if p.dim() > 1]
        vectors.append(torch.cat(parts) if parts else torch.zeros(0, dtype=torch.float64))
    best, pair = 0.0, (1, 1)
    for one, other in combinations(range(len(layers)), 2):
        a, b = vectors[one], vectors[other]
        if layers[one] is layers[other] or a.shape != b.shape or not len(a) or not a.norm() or not b.norm():
            continue
        cosine = float(a @ b / (a.norm() * b.norm()))
        if cosine > best:
            best, pair = cosine, (one + 1, other + 1)
    return best, pair
