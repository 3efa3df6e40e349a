"""What a branch passes on its way to the stream: dropout, a scale by depth, a learned gain, whole branches left out."""

import pytest
import torch

from scriptchain.config import make
from scriptchain.model.damping import Damping
from scriptchain.model.pipeline import Network
from scriptchain.positions import Positions

from ..positions.rows import ROWS, SMALL, difference, draw, network, padding
from .test_residual import streams

WIDTH = SMALL["d_model"]


def damping(layer: int = 0, dropout: float = 0.0, **config) -> Damping:
    return Damping(make({**SMALL, "dropout": dropout, **config}), layer)


def test_nothing_is_asked_for_by_default():
    plain, p = damping().train(), Positions.from_packed(torch.tensor([0, 0, 1]))
    y = draw(3, WIDTH)
    state = torch.random.get_rng_state()
    assert plain(y, p) is y
    assert torch.equal(torch.random.get_rng_state(), state)
    assert not list(plain.parameters())


def test_dropout_is_on_single_numbers():
    y = damping(dropout=0.5).train()(torch.ones(40, WIDTH), Positions.from_packed(torch.zeros(40, dtype=torch.long)))
    assert {round(value, 4) for value in y.flatten().tolist()} == {0.0, 2.0}
    assert 0.4 < y.ne(0).float().mean() < 0.6


# --- the scale by depth --------------------------------------------------------------------------------------


@pytest.mark.parametrize("num_layers", [1, 4, 100])
def test_the_scale_is_the_inverse_root_of_depth(num_layers):
    y, p = draw(3, WIDTH), Positions.from_packed(torch.tensor([0, 0, 1]))
    scaled = damping(branch_scale="inverse_sqrt_depth", num_layers=num_layers)
    assert difference(scaled(y, p) * num_layers**0.5, y) < 1e-6
    assert not list(scaled.parameters())


def test_the_scale_bounds_the_streams_variance_at_every_depth():
    """Without it the sum of the branches grows with their number."""
    grown = {depth: streams(depth)[-1].var().item() for depth in (6, 24, 96)}
    assert grown[24] > 2 * grown[6]
    assert grown[96] > 2 * grown[24]
    kept = [streams(depth, branch_scale="inverse_sqrt_depth")[-1].var().item() for depth in (6, 24, 96)]
    assert max(kept) < 2
    assert max(kept) < 1.2 * min(kept)


# --- the learned gain ----------------------------------------------------------------------------------------


def test_each_channel_has_a_gain_of_its_own():
    scaled = damping(layer_scale=0.25)
    y, p = draw(3, WIDTH), Positions.from_packed(torch.tensor([0, 0, 1]))
    assert torch.equal(scaled(y, p), 0.25 * y)
    with torch.no_grad():
        scaled.gain.copy_(torch.arange(WIDTH))
    assert torch.equal(scaled(y, p), y * torch.arange(WIDTH))


def test_a_tiny_gain_is_nearly_the_identity():
    x = streams(24, layer_scale=1e-6)
    assert 0 < difference(x[-1], x[0]) < 1e-3
    assert difference(streams(24)[-1], x[0]) > 1


# --- whole branches left out ---------------------------------------------------------------------------------


def kept(layer: int, p: Positions, seed: int = 0, num_layers: int = 3, share: float = 0.5) -> torch.Tensor:
    """What a branch of ones leaves, of shape `(*T, D)`."""
    part = damping(layer, stochastic_depth=share, num_layers=num_layers).train()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return part(torch.ones(*p.segment.shape, WIDTH), p)


@pytest.mark.parametrize(
    "p",
    [
        Positions.from_mask(padding([5, 1, 3] * 100, 6, "left")),
        Positions.from_packed(torch.arange(300).repeat_interleave(torch.tensor([5, 1, 3] * 100))),
        Positions.from_packed(torch.arange(300).repeat_interleave(torch.tensor([5, 1, 3] * 100))[None]),
    ],
    ids=["padded", "packed", "batched"],
)
def test_a_text_is_kept_or_left_out_as_a_whole(p):
    y = kept(2, p)
    of_text = [y[(p.segment == number) & p.valid] for number in range(300)]
    assert all(len(text.unique()) == 1 for text in of_text)
    found = torch.stack([text[0, 0] for text in of_text])
    assert set(found.tolist()) == {0.0, 2.0}
    assert 0.4 < found.eq(0).float().mean() < 0.6


def test_packed_texts_are_left_out_as_padded_ones():
    lengths = torch.tensor([4, 1, 7, 2, 5])
    packed = Positions.from_packed(torch.arange(5).repeat_interleave(lengths))
    padded = Positions.from_lengths(lengths)
    found = set()
    for seed in range(20):
        stream, batch = kept(2, packed, seed), kept(2, padded, seed)
        assert torch.equal(batch[padded.valid], stream)
        found.add(tuple(batch[:, 0, 0].tolist()))
    assert len(found) > 10


def test_the_probability_grows_from_0_at_the_first_layer_to_the_share_at_the_last():
    p = Positions.from_packed(torch.arange(4_000))
    for layer, expected in enumerate([0.0, 0.2, 0.4, 0.6]):
        y = kept(layer, p, num_layers=4, share=0.6)
        assert y.eq(0).float().mean().item() == pytest.approx(expected, abs=0.03)
        assert y.max().item() == pytest.approx(1 / (1 - expected))


def test_the_mean_over_draws_is_the_branch_itself():
    part, p = damping(2, stochastic_depth=0.4, num_layers=3), Positions.from_lengths(torch.tensor([3, 2]))
    y = draw(2, 3, WIDTH)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        mean = sum(part.train()(y, p) for _ in range(4_000)) / 4_000
    assert difference(mean, y) < 0.05 * y.abs().max()
    assert torch.equal(part.eval()(y, p), y)


def test_a_network_leaves_out_in_training_alone():
    mask = padding((3, 6), 7, "left")
    ids = torch.arange(14).reshape(2, 7)
    plain, dropping = network(ROWS[0], dropout=0.0), network(ROWS[0], dropout=0.0, stochastic_depth=0.9)
    assert torch.equal(dropping(ids, mask), plain(ids, mask))
    dropping.train()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        assert any(not torch.equal(dropping(ids, mask), plain(ids, mask)) for _ in range(5))


def test_every_layer_knows_its_number():
    built = Network(make({**SMALL, "num_layers": 5, "stochastic_depth": 0.4}), 32, 3)
    found = [(layer.damp_attention.left_out, layer.damp_feedforward.left_out) for layer in built.encoder.layers]
    assert found == [(pytest.approx(share), pytest.approx(share)) for share in (0, 0.1, 0.2, 0.3, 0.4)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_the_type_of_a_branch_is_kept(dtype):
    everything = {"branch_scale": "inverse_sqrt_depth", "layer_scale": 0.1, "stochastic_depth": 0.5}
    part = damping(1, dropout=0.1, **everything).to(dtype).train()
    y = part(draw(3, WIDTH).to(dtype), Positions.from_packed(torch.tensor([0, 0, 1])))
    assert y.dtype == dtype
    assert y.isfinite().all()
