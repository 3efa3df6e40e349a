"""A network compiles as one graph, and not again for another length."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from .inputs import SAME, VOCAB, difference, padding

LENGTHS = [5, 6, 7, 9]


def compiled(model: nn.Module) -> dict[str, int | float | str | None]:
    """Forward and backward at several lengths; only the first may compile. Compilations, greatest difference, error."""
    from torch._dynamo.exc import TorchDynamoException  # slow to import, and only this law needs it

    torch.compiler.reset()
    count = 0

    def eager(graph: nn.Module, _inputs: Any) -> Any:
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
    except TorchDynamoException as error:
        return {"compilations": count, "difference": worst, "error": f"{type(error).__name__}: {error}"[:300]}
    return {"compilations": count, "difference": worst, "error": None}


def check_compile(result: Mapping[str, Any]) -> None:
    assert result["error"] is None, f"a network must compile as one graph: {result['error']}"
    assert result["compilations"] == 1, f"lengths must not compile again, compiled {result['compilations']} times"
    assert result["difference"] < SAME, f"compiling must not change the logits, moved them by {result['difference']}"
