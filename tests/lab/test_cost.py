"""Counts equal closed forms exactly, and nothing is allocated for them."""

from pathlib import Path

import pytest
import torch
from torch import nn

from scriptchain import config
from scriptchain.lab import Claim, cost, judge
from scriptchain.lab.cost import CLASSES, VOCAB

SMALL = config.resolve("small")


@pytest.mark.parametrize(("num_layers", "length", "batch_size"), [(1, 15, 4), (3, 64, 8), (12, 300, 2)])
@pytest.mark.parametrize("width", [128, 64])
def test_counts_equal_the_closed_forms(num_layers, length, batch_size, width):
    d, f = width, 512
    shaped = config.replace(SMALL, d_model=d, d_feedforward=f, positions="none", positions_options={})
    counted = cost(shaped, num_layers=num_layers, length=length, batch_size=batch_size)
    tokens = batch_size * length
    layer = 2 * tokens * (4 * d * d + 2 * d * f) + 4 * batch_size * length**2 * d
    assert counted.flops == num_layers * layer + 2 * batch_size * d * CLASSES
    parameters = num_layers * (4 * d * d + 4 * d + 2 * d * f + d + f + 4 * d)
    assert counted.parameters == parameters + VOCAB * d + 2 * d + d * CLASSES + CLASSES


def test_memory_is_what_a_real_forward_keeps():
    from scriptchain.model.pipeline import Network

    shaped = config.replace(SMALL, dropout=0.0)
    network = Network(shaped, VOCAB, CLASSES)
    learned = {parameter.untyped_storage().data_ptr() for parameter in network.parameters()}
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in learned:
            kept[storage.data_ptr()] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        network(torch.zeros(8, 64, dtype=torch.long), torch.ones(8, 64, dtype=torch.bool))
    real = sum(storage.nbytes() for storage in kept.values())
    assert cost(shaped, num_layers=3, length=64).memory == pytest.approx(real, rel=0.02)


def test_sixty_four_layers_of_a_thousand_tokens_are_counted_without_their_memory():
    before = most_resident()
    counted = cost(SMALL, num_layers=64, length=1_024)
    assert counted.memory > 3 * 2**30
    assert most_resident() - before < 300 * 2**20


def most_resident() -> int:
    """Bytes: tracemalloc would not see torch's."""
    return 1024 * int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])


class TwiceEachLayer(nn.Module):
    """Each layer calls everything below it twice: 2^depth, the plant of an exponential cost."""

    def __init__(self, depth: int):
        super().__init__()
        self.below = TwiceEachLayer(depth - 1) if depth > 1 else None
        self.linear = nn.Linear(4, 4)

    def forward(self, x):
        if self.below is not None:
            x = self.below(self.below(x))
        return self.linear(x)


def test_an_exponential_stack_is_called_exponential():
    from torch.utils.flop_counter import FlopCounterMode

    from scriptchain.lab import exponent, fit_laws
    from scriptchain.lab.claims import best_law, verdict

    depths, flops = list(range(1, 11)), []
    for depth in depths:
        with FlopCounterMode(display=False) as counter:
            TwiceEachLayer(depth)(torch.zeros(1, 4))
        flops.append(float(counter.get_total_flops()))
    fits, high = fit_laws(depths, flops), exponent(depths, flops)[2]
    assert best_law(fits).law == "exponential"
    assert verdict("exponential", fits, high) == "TRUE"
    assert verdict("linear", fits, high) == "FALSE"


@pytest.mark.parametrize(
    ("sentence", "state", "law"),
    [
        ("cost grows exponentially with layers", "FALSE", "linear"),
        ("memory grows exponentially with layers", "FALSE", "linear"),
        ("parameters grow linearly with depth", "TRUE", "linear"),
        ("compute grows quadratically with sequence length", "TRUE", "quadratic"),
        ("memory grows quadratically with length", "FALSE", "linear"),
    ],
)
def test_the_studys_claims(sentence, state, law):
    data = judge(Claim.parse(sentence), SMALL).data
    assert (data["verdict"], data["law"]) == (state, law)
    assert data["exponent"]["low"] <= data["exponent"]["value"] <= data["exponent"]["high"]
    assert len(data["points"]) >= 8


def test_the_crossover_of_length_is_six_widths():
    """Attention's products take half of the operations at 6 d_model tokens where the feed-forward is 4 d_model wide."""
    plain = config.replace(SMALL, positions="none", positions_options={})
    data = judge(Claim.parse("flops grow quadratically with length"), plain).data
    assert data["crossover"] == pytest.approx(6 * SMALL.d_model, rel=0.01)
