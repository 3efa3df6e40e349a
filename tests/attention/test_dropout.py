"""Laws of dropout by bytes: its rate, its scale, that decisions know nothing of each other, and its gradient."""

import pytest
import torch

from scriptchain.attention.dropout import drop
from scriptchain.model.dropout import Dropout

MANY = 400_003  # no multiple of the eight decisions of a word


@pytest.mark.parametrize("rate", [0.1, 0.2, 0.5, 0.9])
def test_what_stays_is_scaled_up_to_the_same_mean(rate):
    torch.manual_seed(0)
    dropped = round(256 * rate) / 256
    y = drop(torch.ones(MANY), rate)
    assert sorted(y.unique().tolist()) == pytest.approx([0, 1 / (1 - dropped)])
    spread = (dropped * (1 - dropped) / MANY) ** 0.5
    assert abs(float(y.eq(0).double().mean()) - dropped) < 5 * spread
    assert abs(dropped - rate) <= 1 / 512


def test_each_byte_of_a_word_decides_alike_and_for_itself():
    torch.manual_seed(0)
    gone = drop(torch.ones(8 * 50_000), 0.25).eq(0).double()
    lanes = gone.view(-1, 8).mean(0)
    assert (lanes - 0.25).abs().max() < 5 * (0.25 * 0.75 / 50_000) ** 0.5
    for lag in range(1, 17):
        both = torch.corrcoef(torch.stack([gone[:-lag], gone[lag:]]))[0, 1]
        assert abs(both) < 5 / len(gone) ** 0.5, lag


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_its_gradient_is_what_it_multiplied_by(dtype):
    x = torch.linspace(1, 2, 1003, dtype=dtype).requires_grad_()
    y = drop(x, 0.25)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert y.dtype == gradient.dtype == dtype
    assert gradient.unique().tolist() == pytest.approx([0, 4 / 3], rel=1e-2)
    assert torch.equal(y, x * gradient)


@pytest.mark.parametrize("rate", [1 / 1000, 999 / 1000, 1.0])
def test_rates_that_a_byte_cannot_tell_are_exact(rate):
    torch.manual_seed(0)
    gone = float(drop(torch.ones(1_000_000), rate).eq(0).double().mean())
    assert abs(gone - rate) <= 5 * (rate * (1 - rate) / 1_000_000) ** 0.5


def test_the_seed_decides_and_nothing_is_dropped_outside_training():
    x, module = torch.ones(999), Dropout(0.5)
    first, second, third = (torch.manual_seed(seed) and module(x) for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, third)
    assert module.eval()(x) is x
    assert Dropout(0.0)(x) is x
