"""Positions once more before every later layer: nothing at the start, learned from there, and never a flood."""

import pytest
import torch

from scriptchain.config import make
from scriptchain.errors import ConfigError
from scriptchain.model.encoder import Encoder
from scriptchain.model.pipeline import Network
from scriptchain.model.reinjection import check_that_it_adds
from scriptchain.model.trace import Trace
from scriptchain.positions import Composed, PositionalEncoding, Rope

from ..positions.rows import SIZE, SMALL, VOCAB

SHAPE = {"d_model": 64, "num_heads": 4, "d_feedforward": 128, "max_seq_len": 12, "embedding_std": 1.0}
TEXTS = 256


def fresh(num_layers: int = 4, **config) -> Network:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Network(make({**SHAPE, "positions": "sinusoidal", "num_layers": num_layers, **config}), 40, 3).eval()


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    ids = torch.randint(5, 40, (TEXTS, 12), generator=torch.Generator().manual_seed(0))
    return ids, torch.ones_like(ids, dtype=torch.bool)


@pytest.mark.parametrize("positions", ["learned", "sinusoidal", "convolutional", "learned+rope", "learned/rope"])
def test_a_fresh_network_answers_as_the_one_without(positions):
    assert torch.equal(
        fresh(positions=positions, positions_reinjected=True)(*batch()), fresh(positions=positions)(*batch())
    )


def test_every_gate_is_told_where_to_go():
    built = fresh(positions_reinjected=True)
    torch.nn.functional.cross_entropy(built(*batch()), torch.arange(TEXTS) % 3).backward()
    gates = [part.gate for part in built.encoder.reinjections]
    assert len(gates) == 3
    assert all(gate.grad.abs() > 1e-6 for gate in gates)


def share(x: torch.Tensor, group: torch.Tensor) -> float:
    """The part of the stream's variance that lies between groups."""
    x_MD, group = x.flatten(0, 1).double(), group.flatten()
    x_MD = x_MD - x_MD.mean(0)
    between = sum((group == one).sum() * (x_MD[group == one].mean(0) ** 2).sum() for one in group.unique())
    return float(between / (x_MD**2).sum())


@pytest.mark.parametrize("residual", ["pre_norm", "post_norm", "deep_norm"])
@pytest.mark.parametrize("num_layers", [12, 24])
def test_open_gates_raise_the_share_of_positions_and_leave_the_words(residual, num_layers):
    """The research note's raw addition left .00 to the words after 12 layers."""
    ids, mask = batch()
    place = torch.arange(12).expand(TEXTS, -1)

    def shares(gate: float, size: float | None = None) -> tuple[float, float]:
        built = fresh(num_layers, residual=residual, positions_reinjected=True)
        for part in built.encoder.reinjections:
            part.gate.data.fill_(gate)
            part.size = part.size if size is None else size
        trace = Trace()
        with torch.no_grad():
            built(ids, mask, trace)
        last = trace[f"layers.{num_layers - 1}.output"]
        return share(last, place), share(last, ids)

    shut, opened, flooded = shares(0.0), shares(1.0), shares(1.0, size=1.0)
    assert opened[0] > 1.3 * shut[0]
    assert opened[0] < 0.92
    assert opened[1] > 0.2 * shut[1]
    assert flooded[0] > 0.95  # what the size is for
    assert flooded[1] < 0.06


@pytest.mark.parametrize("name", ["none", "rope", "alibi", "rope+alibi", "offset", "shape+rope", "rope/learned"])
def test_an_encoding_that_adds_nothing_first_is_refused(name):
    with pytest.raises(ConfigError) as error:
        Encoder(make({**SMALL, "positions": name, "positions_reinjected": True}), VOCAB)
    assert str(error.value) == (
        f"positions_reinjected must have positions that are added to the stream, got {name!r}, which adds nothing "
        "before the first layer; hint: positions_reinjected=false"
    )


class Mine(PositionalEncoding):
    """Someone's own."""

    def embed(self, x, p):
        return x + 1


def test_whether_it_adds_is_asked_of_the_class_and_not_of_its_name():
    check_that_it_adds(Mine(SIZE), "mine")
    check_that_it_adds(Composed(Rope(SIZE), Mine(SIZE)), "rope+mine")
    with pytest.raises(ConfigError):
        check_that_it_adds(PositionalEncoding(SIZE), "mine")


def test_one_layer_has_nothing_later():
    assert not fresh(1, positions_reinjected=True).encoder.reinjections
