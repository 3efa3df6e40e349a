"""What was saved is the same encoding again, at another length too where there is no limit."""

from collections.abc import Callable

import torch
from safetensors.torch import load, save
from torch import Tensor

from .adapter import Classifies
from .inputs import SIZE, Module, texts


def check_round_trip(saved: Classifies, fresh: Classifies, length: int = SIZE.max_seq_len) -> None:
    """By way of the bytes of a safetensors file; `fresh` has other values before it is loaded."""
    (ids,) = texts(length)
    mask = torch.ones(1, length, dtype=torch.bool)
    with torch.no_grad():
        expected = saved(ids[None], mask)
        assert not torch.equal(fresh(ids[None], mask), expected), "the other network must differ before it is loaded"
        fresh.load_state_dict(_filed(saved))
        assert torch.equal(fresh(ids[None], mask), expected), "what was saved must be what is loaded"


def check_other_length(of_length: Callable[[int], Classifies]) -> None:
    """Weights of a model of one length in a model of another, on texts that only the longer one was built for."""
    short, longer = of_length(SIZE.max_seq_len), of_length(2 * SIZE.max_seq_len)
    (ids,) = texts(SIZE.max_seq_len + 5)
    mask = torch.ones(1, len(ids), dtype=torch.bool)
    try:
        longer.load_state_dict(_filed(short))
    except RuntimeError as error:
        raise AssertionError(f"weights must fit every length: {error}") from None
    with torch.no_grad():
        assert torch.equal(short(ids[None], mask), longer(ids[None], mask)), "the length must change no logit"


def other(network: Module) -> Module:
    """The same network with other numbers."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(0.5)
    return network


def _filed(network: Classifies) -> dict[str, Tensor]:
    """By way of the bytes of a file, which refuses tensors that share memory."""
    return load(save({name: value.clone() for name, value in network.state_dict().items()}))
