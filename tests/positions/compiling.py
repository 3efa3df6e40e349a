"""Run in a process of its own, `python -m tests.positions.compiling NAME...`: Dynamo cannot trace the type checks
that pytest puts on the package. Prints one JSON object: name -> compilations, greatest difference, error.
"""

import json
import sys

import torch
from torch import nn

from . import broken
from .rows import ROWS, SIZE, VOCAB, difference, network, network_around, padding

LENGTHS = [5, 6, 7, 9]


def compiled(name: str) -> dict[str, int | float | str | None]:
    """Forward and backward at several lengths; only the first may compile."""
    torch._dynamo.reset()
    found = {row.id: row for row in ROWS}
    encoder = {"num_layers": 1}
    model = network(found[name], **encoder) if name in found else network_around(getattr(broken, name)(SIZE), **encoder)
    count = 0

    def eager(graph: nn.Module, _inputs):
        nonlocal count
        count += 1
        return graph.forward

    fast = torch.compile(model, backend=eager, dynamic=True, fullgraph=True)
    worst = 0.0
    try:
        for length in LENGTHS:
            mask = padding((length, 3, 1), length, "left")
            ids = torch.randint(0, VOCAB, mask.shape, generator=torch.Generator().manual_seed(length))
            logits = fast(ids, mask)
            logits.sum().backward()
            worst = max(worst, difference(logits, model(ids, mask)))
    except torch._dynamo.exc.TorchDynamoException as error:
        return {"compilations": count, "difference": worst, "error": f"{type(error).__name__}: {error}"[:300]}
    return {"compilations": count, "difference": worst, "error": None}


if __name__ == "__main__":
    json.dump({name: compiled(name) for name in sys.argv[1:]}, sys.stdout)
