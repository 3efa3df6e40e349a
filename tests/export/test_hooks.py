"""Laws of measuring an encoding: only what its hooks do counts, with the paper's numbers as the truth."""

import numpy as np
import pytest
import torch

from scriptchain.export.hooks import BY_CONTENT, IN_TRAINING, STARTS_AT_ZERO, Effect, measure
from scriptchain.positions import Dense, PositionalEncoding, Size, build, load, names

SIZE = Size(d_model=32, num_heads=4, num_layers=2, max_seq_len=12)
HOOKS = ("place", "embed", "rotate", "bias")


def only(encoding: PositionalEncoding) -> Effect:
    (effect,) = measure(encoding)
    return effect


@pytest.mark.parametrize("name", names())
def test_what_acts_is_seen_and_nothing_else(name):
    kind = load(name)
    seen = [effect.hook for effect in measure(build(name, SIZE, {}))]
    assert bool(seen) == (kind.acts != "nowhere")
    assert set(seen) <= {hook for hook in HOOKS if getattr(kind, hook) is not getattr(PositionalEncoding, hook)}


@pytest.mark.parametrize("name", names())
def test_an_encoding_is_left_as_it_was(name):
    encoding = build(name, SIZE, {}).train()
    before = {key: value.clone() for key, value in encoding.state_dict().items()}
    measure(encoding)
    assert encoding.training
    for key, value in encoding.state_dict().items():
        assert value.dtype == before[key].dtype
        assert torch.equal(value, before[key])


def test_a_table_is_what_is_added():
    encoding = build("learned", SIZE, {})
    effect = only(encoding)
    assert (effect.hook, effect.notes) == ("embed", ())
    np.testing.assert_array_equal(effect.values, encoding.get_parameter("table").detach().double().numpy())


@pytest.mark.parametrize("layout", ["half", "interleaved"])
def test_the_angles_of_a_rotation_are_its_frequencies(layout):
    effect = only(build("rope", SIZE, {"base": 100.0, "layout": layout}))
    assert effect.angles is not None
    frequencies = 100.0 ** (-np.arange(4) / 4)
    np.testing.assert_allclose(effect.angles, np.tile(frequencies, (4, 1)), rtol=1e-6)
    distance = np.arange(12) - 6
    np.testing.assert_allclose(effect.values[2], np.cos(np.outer(distance, frequencies)).mean(1), atol=1e-6)


def test_pairs_that_stand_still_turn_by_nothing():
    effect = only(build("rope", SIZE, {"p": 0.5}))
    assert effect.angles is not None
    np.testing.assert_allclose(effect.angles[0], [1, 0.1, 0, 0], rtol=1e-6)


def test_a_bias_is_seen_from_the_query_in_the_middle():
    effect = only(build("alibi", SIZE, {}))
    distance = np.arange(12) - 6
    for head, (left, right) in enumerate([(1 / 16, 1), (1, 1 / 16), (1 / 256, 1), (1, 1 / 256)]):
        expected = np.where(distance < 0, left, right) * -np.abs(distance)
        np.testing.assert_allclose(effect.values[head], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "notes"),
    [("toeplitz", (STARTS_AT_ZERO,)), ("t5_bias", (STARTS_AT_ZERO,)), ("cpb", (STARTS_AT_ZERO,)), ("kerple", ()),
     ("fourier", ())],
)  # fmt: skip
def test_what_starts_at_zero_is_measured_elsewhere_and_says_so(name, notes):
    effect = only(build(name, SIZE, {}))
    assert effect.notes == notes
    assert np.ptp(effect.values) > 0.01


def test_no_picture_needs_more_than_512_tokens():
    assert only(build("sinusoidal", Size(8, 2, 1, 2000), {})).values.shape == (512, 8)


class Everything(PositionalEncoding):
    """Acts in all four places, in ways that no encoding of ours does."""

    def place(self, p):
        return p.at(2 * p.coordinate + 1)

    def embed(self, x_TD, p):
        return x_TD + x_TD.roll(1, -2)

    def rotate(self, q_THE, k_THE, p):
        far = p.coordinate[..., None, None].expand(*q_THE.shape[:-1], 1).to(q_THE)
        return torch.cat([q_THE, far], -1), torch.cat([k_THE, far], -1)

    def bias(self, x_TD, q_THE, k_THE, p):
        return Dense(torch.einsum("bqhe,bkhe->bhqk", q_THE, k_THE))


def test_every_hook_is_measured_on_the_coordinates_that_place_gives():
    place, embed, rotate, bias = measure(Everything(SIZE))
    assert [effect.hook for effect in (place, embed, rotate, bias)] == list(HOOKS)
    coordinate = 2 * np.arange(12) + 1
    np.testing.assert_array_equal(place.values, coordinate)
    np.testing.assert_allclose(rotate.values[3], 1 + coordinate[6] * coordinate, atol=1e-9)
    assert rotate.angles is None
    assert [effect.notes for effect in (place, embed, rotate, bias)] == [(), (BY_CONTENT,), (), (BY_CONTENT,)]
    assert np.ptp(embed.values) > 1
    assert np.ptp(bias.values) > 1


def test_what_acts_in_training_only_is_drawn_once_the_same_each_time():
    class Jitter(PositionalEncoding):
        def place(self, p):
            return p.at(p.coordinate + torch.rand(p.coordinate.shape)) if self.training else p

    one = only(Jitter(SIZE))
    state = torch.manual_seed(1).get_state()
    two = only(Jitter(SIZE))
    assert torch.equal(torch.get_rng_state(), state)
    assert one.notes == (IN_TRAINING,)
    np.testing.assert_array_equal(one.values, two.values)
