"""What a forward and backward of a network cost, counted on tensors without storage: nothing is computed or allocated.

Closed form of one layer at width d, feed-forward f, batch B and length L, which a test holds the count to:
4 d d + 2 d f + 9 d + f parameters and 2 B L (4 d d + 2 d f) + 4 B L L d operations forward.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from ..config import Config, replace
from ..model.pipeline import Network

VOCAB, CLASSES = 1_000, 4


@dataclass(frozen=True)
class Cost:
    """Learned numbers; floating-point operations of a forward; bytes that it keeps for the backward."""

    parameters: int
    flops: int
    memory: int


def cost(config: Config, *, num_layers: int, length: int, batch_size: int = 8) -> Cost:
    """Of the config's network at that depth on texts of that length, without dropout. Deterministic."""
    shaped = replace(at_shape(config, num_layers, length), dropout=0.0)
    with FakeTensorMode(allow_non_fake_inputs=True):
        network = Network(shaped, VOCAB, CLASSES)
        ids = torch.zeros(batch_size, length, dtype=torch.long)
        mask = torch.ones(batch_size, length, dtype=torch.bool)
        kept: dict[int, int] = {}
        learned = {parameter.untyped_storage()._cdata for parameter in network.parameters()}

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            storage = tensor.untyped_storage()  # two views of one tensor are kept once
            if storage._cdata not in learned:
                kept[storage._cdata] = storage.nbytes()
            return tensor

        counter = FlopCounterMode(display=False, custom_mapping=UNCOUNTED)
        with counter, torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            network(ids, mask)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return Cost(parameters, counter.get_total_flops(), sum(kept.values()))


def at_shape(config: Config, num_layers: int, length: int) -> Config:
    """The config at another depth, for texts of that length."""
    return replace(config, num_layers=num_layers, max_seq_len=max(2, length, config.max_seq_len))


def _attention_flops(q: Any, k: Any, v: Any, *rest: Any, **more: Any) -> int:
    """Shapes (B, H, L, E): the products of queries and keys, and of weights and values."""
    batch, heads, queries, width = q
    return 2 * batch * heads * queries * k[2] * (width + v[3])


# torch's counter has no formula for the CPU's fused attention and would call it free.
UNCOUNTED: dict[Any, Callable[..., int]] = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_flops
}
