"""Laws of the parameter groups: every parameter in exactly one, positions never decayed."""

import numpy as np
import pytest
import torch

from scriptchain import config
from scriptchain.model.pipeline import Network
from scriptchain.training.loop import Examples, fit
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


def test_a_layer_learns_at_a_share_of_the_rate_of_the_one_above_it():
    made = config.resolve("small", overrides={"layer_decay": 0.5, "num_layers": 2, "positions_rate": 4.0})
    network = Network(made, 300, 3)
    groups = make_optimizer(network, made).param_groups
    share = {id(parameter): group["share"] for group in groups for parameter in group["params"]}
    expected = {"head": 1.0, "encoder.final_norm": 1.0, "encoder.layers.1": 0.5, "encoder.layers.0": 0.25,
                "encoder.tokens": 0.125, "encoder.encodings": 0.5}  # fmt: skip
    found = {name: share[id(parameter)] for name, parameter in network.named_parameters()}
    assert found == {name: value for name in found for place, value in expected.items() if name.startswith(place + ".")}


def test_the_share_of_a_group_is_what_a_step_moves_it_by():
    """Adam's first step is the learning rate itself, whatever the gradient."""
    made = config.resolve("small", overrides={"layer_decay": 0.5, "weight_decay": 0.0, "schedule": "constant",
                                              "warmup": 0.0, "epochs": 1, "weight_average": 0.0,
                                              "positions": "learned", "positions_options": {},
                                              "positions_rate": 8.0})  # fmt: skip
    network = Network(made, 300, 3)
    before = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    ids = [np.array([4, 5, 6]), np.array([7, 8])]
    fit(network, Examples(ids, np.array([0, 1]), np.ones(2, np.float32)), made, device="cpu")
    moved = {
        name: float((parameter.detach() - before[name]).abs().max()) for name, parameter in network.named_parameters()
    }
    rate = made.learning_rate
    expected = {"head.mlp.1.bias": 1, "encoder.layers.2.feedforward.output.bias": 0.5,
                "encoder.layers.0.feedforward.output.bias": 0.125, "encoder.tokens.weight": 0.0625,
                "encoder.encodings.encoding.table": 0.5}  # fmt: skip
    for name, share in expected.items():
        assert moved[name] == pytest.approx(rate * share, rel=1e-3)
