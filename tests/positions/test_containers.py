"""Once, EveryLayer: where an encoding acts, and whose parameters it learns."""

import pytest
import torch

from scriptchain.config import make
from scriptchain.positions import EveryLayer, Learned, NoPositions, Once, T5Bias, in_stack
from scriptchain.training.optimizer import make_optimizer

from .rows import ROWS, SIZE, network

T5 = next(row for row in ROWS if row.name == "t5_bias")


def test_what_is_added_acts_once_and_the_rest_is_none():
    stack = in_stack(lambda: Learned(SIZE))
    assert isinstance(stack, Once)
    assert isinstance(stack[0], Learned)
    assert isinstance(stack[1], NoPositions)


def check_layers(stack: Once | EveryLayer, shared: bool) -> None:
    """Every layer has an encoding that acts; its numbers are the layer's own, or everyone's."""
    layers = [stack[layer] for layer in range(SIZE.num_layers)]
    assert all(isinstance(encoding, T5Bias) for encoding in layers), "every layer must have the encoding"
    own = len({id(encoding.table) for encoding in layers if isinstance(encoding, T5Bias)})
    assert own == (1 if shared else SIZE.num_layers), f"shared={shared} must be kept, got {own} tables"
    assert len(list(stack.parameters())) == own, "the stack must hold the parameters of its layers, once"


@pytest.mark.parametrize("shared", [False, True], ids=["own", "shared"])
def test_what_acts_in_attention_acts_at_every_layer(shared):
    check_layers(in_stack(lambda: T5Bias(SIZE), shared=shared), shared)


def test_each_layer_draws_its_own_start():
    count = 0

    def draw():
        nonlocal count
        count += 1
        return T5Bias(SIZE)

    in_stack(draw)
    assert count == SIZE.num_layers


def test_the_config_shares_and_every_layer_gets_gradients():
    for shared, tables in ((True, 1), (False, SIZE.num_layers)):
        built = network(T5, positions_shared=shared)
        found = [value for name, value in built.named_parameters() if name.startswith("encoder.encodings")]
        assert len(found) == tables
        built(torch.tensor([[4, 5, 6]]), torch.ones(1, 3, dtype=torch.bool)).sum().backward()
        assert all(table.grad is not None and table.grad.any() for table in found)


def test_positions_are_never_decayed():
    built = network(T5)
    groups = {group["name"]: group for group in make_optimizer(built, make({"weight_decay": 0.1})).param_groups}
    assert groups["positions"]["weight_decay"] == 0
    assert len(groups["positions"]["params"]) == SIZE.num_layers
