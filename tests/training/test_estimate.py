"""Laws of the estimate: it counts parameters exactly, grows with every dial, and refuses before allocating."""

import pytest

from scriptchain import config
from scriptchain.errors import ConfigError
from scriptchain.model.pipeline import Network
from scriptchain.positions import Size, num_parameters, stack
from scriptchain.training.estimate import memory_bytes, refuse_what_cannot_fit, seconds_a_step


@pytest.mark.parametrize("changes", [{"head_layers": [32]}, {"pooled_layers": 4, "head_layers": [4096]}], ids=str)
def test_the_parameter_part_is_the_networks_own(changes):
    # A batch of one token leaves next to nothing but the parameters: weights, gradients, two moments, the kept best.
    made = config.resolve("small", overrides={"batch_size": 1, "max_seq_len": 2, "num_layers": 4} | changes)
    parameters = sum(parameter.numel() for parameter in Network(made, 500, 5).parameters())
    assert memory_bytes(made, 500, 5) == pytest.approx(4 * 5 * parameters, rel=0.02)


@pytest.mark.parametrize(
    "changes",
    [
        {"positions": "t5_bias"}, {"positions": "tupe", "positions_shared": True}, {"positions": "rope/none"},
        {"positions": "learned+deberta/none"}, {"positions": "forgetting/none/cope"},
        {"positions": "shape+learned"}, {"positions": "convolutional", "positions_options": {"kernel": 5}},
        {"positions": "learned+convolutional", "positions_options": {"convolutional": {"mix": True}}},
    ],
    ids=str,
)  # fmt: skip
def test_positions_are_counted_as_they_are_built(changes):
    made = config.resolve("small", overrides={"num_layers": 5, **changes})
    size = Size(made.d_model, made.num_heads, made.num_layers, made.max_seq_len)
    how = (made.positions, size, made.positions_options)
    built = sum(parameter.numel() for parameter in stack(*how, shared=made.positions_shared).parameters())
    assert num_parameters(*how, shared=made.positions_shared) == built


def test_nonsense_in_the_options_is_left_to_the_builder():
    made = config.resolve("small", overrides={"positions": "learned+rope", "positions_options": {"rope": 3}})
    with pytest.raises(ConfigError, match="must be a table for each of learned, rope"):
        memory_bytes(made, 500, 5)


@pytest.mark.parametrize("key", ["d_model", "d_feedforward", "num_layers", "max_seq_len", "batch_size", "batch_tokens"])
def test_every_dial_raises_it(key):
    made = config.resolve("small")
    made = config.replace(made, batch_tokens=512) if key == "batch_tokens" else made
    larger = config.replace(made, **{key: 2 * getattr(made, key)})
    assert memory_bytes(larger, 8000, 4) > 1.01 * memory_bytes(made, 8000, 4)


def test_what_cannot_fit_is_refused_with_the_figure():
    made = config.resolve("small", overrides={"d_model": 65536, "num_heads": 1, "num_layers": 1024})
    with pytest.raises(ConfigError, match=r"the model must fit into \d+ GiB of memory, got an estimate of [\d,]+ GiB"):
        refuse_what_cannot_fit(made, 8000, 4)


def test_timing_a_step_leaves_the_network_alone():
    network = Network(config.resolve("small"), 300, 3)
    before = network.encoder.tokens.weight.detach().clone()

    def step(trial) -> None:
        assert trial is not network
        trial.encoder.tokens.weight.data.zero_()

    assert seconds_a_step(network, step) > 0
    assert (network.encoder.tokens.weight == before).all()


def test_an_option_of_another_type_is_named_before_it_is_counted():
    made = config.resolve("small", overrides={"positions": "convolutional", "positions_options": {"kernel": "wide"}})
    with pytest.raises(ConfigError) as error:
        memory_bytes(made, 500, 5)
    assert str(error.value) == "positions_options.kernel must be an integer, got 'wide'"
