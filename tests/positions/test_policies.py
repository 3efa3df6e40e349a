"""Position policies: what each does to coordinates in training and outside, one draw a text, and what may follow it."""

import pytest
import torch

from scriptchain import positions
from scriptchain.config import make
from scriptchain.conformance.inputs import CHANGED, SAME, SIZE, VOCAB, difference, draw, padding, streams
from scriptchain.conformance.policies import check_policy
from scriptchain.errors import ConfigError, UsageError
from scriptchain.model.pipeline import Network
from scriptchain.positions import Positions

from .rows import SMALL

DRAWING = {
    "shape": {},
    "cape": {"max_jitter": 0.0},
    "randomized": {"num_positions": 500},
}


def policy(name: str, options: dict, training: bool) -> positions.PositionalEncoding:
    return positions.build(name, SIZE, options).train(training)


@pytest.mark.parametrize("form", range(4))
@pytest.mark.parametrize("name", DRAWING)
def test_policies_draw_in_training_only(name, form):
    check_policy(policy(name, DRAWING[name], True), streams()[form])


@pytest.mark.parametrize("name", DRAWING)
def test_the_same_seed_draws_the_same(name):
    encoding = policy(name, DRAWING[name], True)
    drawn = []
    for _ in range(2):
        torch.manual_seed(3)
        drawn.append(encoding.place(streams()[0]).coordinate)
    assert torch.equal(*drawn)


def test_shape_shifts_whole_texts_within_its_range():
    p = Positions.from_mask(torch.ones(400, 3))
    coordinate = policy("shape", {"max_shift": 4}, True).place(p).coordinate
    assert (coordinate - p.index).min() == 0
    assert (coordinate - p.index).max() == 4
    assert (coordinate.diff(dim=1) == 1).all()


def test_cape_stays_in_its_ranges():
    p = Positions.from_mask(torch.ones(400, 9))
    options = {"max_shift": 2.0, "max_jitter": 0.25, "max_stretch": 1.5}
    coordinate = policy("cape", options, True).place(p).coordinate
    assert coordinate.dtype == torch.float32
    step = coordinate.diff(dim=1)
    assert step.min() > 0.5 / 1.5 - 1e-4
    assert step.max() < 1.5 * 1.5 + 1e-4
    assert step.max() > 1.5
    assert coordinate[:, 0].min() < -1
    assert coordinate.abs()[:, 0].max() < 1.5 * 2.25


def test_randomized_never_repeats_and_reaches_far():
    p = Positions.from_mask(torch.ones(300, 5))
    coordinate = policy("randomized", {"num_positions": 50}, True).place(p).coordinate
    assert coordinate.min() >= 0
    assert coordinate.max() == 49
    assert len(coordinate.unique()) == 50
    ahead = policy("randomized", {"num_positions": 50, "seed": 5}, False).place(p).coordinate
    assert (ahead == ahead[0]).all(), "outside training a length has one set of coordinates"


def test_randomized_has_a_longest_text():
    encoding = policy("randomized", {"num_positions": 13}, False)
    for p in (Positions.from_mask(torch.ones(1, 14)), Positions.from_packed(torch.zeros(14, dtype=torch.long))):
        with pytest.raises(UsageError) as error:
            encoding.place(p)
        assert str(error.value) == "a text must have at most num_positions 13 tokens, got 14"


def test_grouped_tokens_are_not_told_apart():
    network = Network(make({**SMALL, "positions": "grouped+rope"}), VOCAB, 3).eval()
    ids, mask = torch.tensor([[5, 6, 7, 8]]), torch.ones(1, 4, dtype=torch.bool)
    with torch.no_grad():
        logits = network(ids, mask)
        inside = difference(network(torch.tensor([[6, 5, 8, 7]]), mask), logits)
        across = difference(network(torch.tensor([[5, 7, 6, 8]]), mask), logits)
    assert inside < SAME
    assert across > CHANGED


def test_what_follows_a_policy_is_built_for_its_coordinates():
    size = positions.Size(8, 2, 1, 4)
    for policy_, rows in (("offset", 4 + 1), ("shape", 4 + 100), ("randomized", 2_048), ("grouped", 2)):
        composed = positions.build(f"{policy_}+learned", size, {})
        assert dict(composed.named_parameters())["parts.1.table"].shape == (rows, 8)
    composed = positions.build("randomized+shape+learned", size, {"randomized": {"num_positions": 10}})
    assert dict(composed.named_parameters())["parts.2.table"].shape == (110, 8)


def test_a_table_takes_real_coordinates_between_its_rows():
    learned = positions.build("learned", SIZE, {})
    p = Positions.from_mask(torch.ones(1, 2))
    halfway = learned.embed(torch.zeros(1, 2, 8), p.at(torch.tensor([[0.5, 3.25]])))
    table = learned.get_parameter("table")
    torch.testing.assert_close(halfway[0, 0], (table[0] + table[1]) / 2)
    torch.testing.assert_close(halfway[0, 1], 0.75 * table[3] + 0.25 * table[4])


REFUSED = {
    "two rotations": ("rope+pope", "at most one encoding must rotate queries and keys, got Rope + Pope"),
    "a table after real coordinates": (
        "cape+learned",
        "Learned must have a row for each coordinate, got 12 rows for real coordinates; "
        "hint: an encoding without a length limit",
    ),
    "a part that does not exist": (
        "shape+ropes", "positions must be a known encoding, got 'ropes'; hint: did you mean 'rope'?",
    ),
    "an empty part": ("rope+", None),
}  # fmt: skip


@pytest.mark.parametrize(("name", "message"), REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("make_", [positions.build, positions.stack], ids=["build", "stack"])
def test_what_cannot_be_composed_is_refused(make_, name, message):
    with pytest.raises(ConfigError) as error:
        make_(name, SIZE, {})
    assert message is None or str(error.value) == message


def test_a_table_that_is_too_short_for_a_policy_is_refused():
    with pytest.raises(ConfigError) as error:
        positions.Shape(SIZE, max_shift=3) + positions.Learned(SIZE)
    assert str(error.value) == (
        "Learned must have a row for each coordinate, got 12 rows for coordinates up to 14; hint: 15 rows"
    )


def test_options_of_parts_are_tables():
    for options in ({"base": 10.0}, {"rope": 10.0}, {"alibi": {}}):
        with pytest.raises(ConfigError) as error:
            positions.build("shape+rope", SIZE, options)
        key, value = next(iter(options.items()))
        assert str(error.value) == (
            f"positions_options must be a table for each of shape, rope, got {key} = {value!r}; "
            "hint: positions_options.shape.OPTION=VALUE"
        )
    assert positions.build("shape+rope", SIZE, {"rope": {"base": 10.0}}).get_submodule("parts.1").base == 10.0


def test_the_sum_of_encodings_is_the_sum_of_what_they_do():
    one, other = positions.build("kerple", SIZE, {}), positions.build("alibi", SIZE, {})
    both = one + other + positions.build("learned", SIZE, {})
    p = Positions.from_mask(padding([3, 5], 6, "left"))
    x, q = draw(2, 6, 8), draw(2, 6, 2, 4)
    total = sum(part.bias(x, q, q, p).dense() for part in (one, other))
    torch.testing.assert_close(both.bias(x, q, q, p).dense(), total)
    assert both.every_layer
    assert len(both.get_submodule("parts")) == 3
    assert not torch.equal(both.embed(x, p), x)


def test_causal_encodings_are_refused_by_name():
    with pytest.raises(ConfigError) as error:
        positions.build("xpos", SIZE, {})
    assert str(error.value) == (
        "positions must look to both sides, got 'xpos', which a causal model alone can use; hint: positions=rope"
    )
