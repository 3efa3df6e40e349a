"""Laws of the parameter groups: every parameter in exactly one, positions never decayed."""

import pytest
import torch

from scriptchain import config
from scriptchain.model.pipeline import Network
from scriptchain.training.optimizer import make_optimizer


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_every_parameter_once_and_only_matrices_decay(optimizer):
    made = config.resolve("small", overrides={"optimizer": optimizer, "weight_decay": 0.3})
    network = Network(made, 300, 3)
    groups = {group["name"]: group for group in make_optimizer(network, made).param_groups}
    members = [id(parameter) for group in groups.values() for parameter in group["params"]]
    assert sorted(members) == sorted(map(id, network.parameters()))
    assert {name: group["weight_decay"] for name, group in groups.items()} == {
        "weights": 0.3,
        "norms_and_biases": 0.0,
        "positions": 0.0,
    }
    learned = sorted(id(parameter) for parameter in network.encoder.encodings.parameters())
    assert sorted(id(parameter) for parameter in groups["positions"]["params"]) == learned
    assert all(parameter.dim() == 1 for parameter in groups["norms_and_biases"]["params"])


def test_an_encoding_without_parameters_has_no_group():
    made = config.resolve("small", overrides={"positions": "none", "positions_options": {}})
    names = [group["name"] for group in make_optimizer(Network(made, 300, 3), made).param_groups]
    assert names == ["weights", "norms_and_biases"]


def test_a_step_without_gradient_decays_weights_and_leaves_positions():
    made = config.resolve("small", overrides={"weight_decay": 0.5})
    network = Network(made, 300, 3)
    before = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    make_optimizer(network, made).step()
    changed = {name for name, parameter in network.named_parameters() if not torch.equal(parameter, before[name])}
    assert not [name for name in changed if name.startswith("encoder.encodings.")]
    assert "encoder.tokens.weight" in changed
