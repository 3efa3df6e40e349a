"""Once, EveryLayer: where an encoding acts, and whose parameters it learns."""

import pytest
import torch

from scriptchain import positions
from scriptchain.config import make
from scriptchain.conformance.inputs import SIZE
from scriptchain.positions import EveryLayer, Learned, NoPositions, Once, Positions, Size, T5Bias, Together, in_stack
from scriptchain.training.optimizer import make_optimizer

from . import references
from .rows import ROWS, Row, network

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


@pytest.mark.parametrize("shared", [False, True], ids=["own", "shared"])
def test_a_pattern_repeats_down_the_stack(shared):
    size = Size(8, 2, 5, 12)
    stack = positions.stack("t5_bias/none", size, {"t5_bias": {"num_buckets": 8, "max_distance": 8}}, shared=shared)
    kinds = [type(stack[layer]).__name__ for layer in range(5)]
    assert kinds == ["T5Bias", "NoPositions", "T5Bias", "NoPositions", "T5Bias"]
    assert len({id(stack[layer]) for layer in (0, 2, 4)}) == (1 if shared else 3)
    assert len(list(stack.parameters())) == (1 if shared else 3)


def test_together_each_acts_in_its_place():
    stack = positions.stack("learned+t5_bias", SIZE, {})
    assert isinstance(stack, Together)
    p = Positions.from_lengths(torch.tensor([3]))
    x, q = torch.zeros(1, 3, 8), torch.zeros(1, 3, 2, 4)
    for layer in range(SIZE.num_layers):
        assert bool(stack[layer].embed(x, p).any()) == (layer == 0), "what is added to the stream acts once"
        assert stack[layer].bias(x, q, q, p) is not None, "what acts inside attention acts at every layer"
    names = [name for name, _ in stack.named_parameters()]
    assert len(names) == 1 + SIZE.num_layers, "each module is saved once"


def test_a_network_of_parts_trains_saves_and_loads():
    row = Row("shape+learned+kerple", references.Reference)
    built = network(row)
    state = built.state_dict()
    other = network(row).train()
    other.load_state_dict(state)
    ids, mask = torch.tensor([[4, 5, 6, 7]]), torch.ones(1, 4, dtype=torch.bool)
    assert torch.equal(other.eval()(ids, mask), built(ids, mask))
    other.train()(ids, mask).sum().backward()
    missing = [name for name, value in other.named_parameters() if value.grad is None]
    assert not missing


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
