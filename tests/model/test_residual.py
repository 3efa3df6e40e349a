"""How a branch joins the stream, against formulas written by hand."""

import math

import numpy as np
import pytest
import torch

from scriptchain.model.encoder import Encoder
from scriptchain.model.residual import RESIDUALS, PostNorm, PreNorm
from scriptchain.positions import Positions

from ..positions.rows import ROWS, draw, network, perturbed

WIDTH = 5


def norm(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """1607.06450: each token's own mean and variance."""
    y = np.empty_like(x)
    for token in np.ndindex(x.shape[:-1]):
        mean = sum(x[token]) / x.shape[-1]
        variance = sum((value - mean) ** 2 for value in x[token]) / x.shape[-1]
        y[token] = [(value - mean) / math.sqrt(variance + 1e-5) for value in x[token]] * weight + bias
    return y


def branch(x: torch.Tensor) -> torch.Tensor:
    return (2 * x).tanh() + x.roll(1, -1)


def joined(name: str, x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    def f(y):
        return np.tanh(2 * y) + np.roll(y, 1, -1)

    return x + f(norm(x, weight, bias)) if name == "pre_norm" else norm(x + f(x), weight, bias)


@pytest.mark.parametrize("shape", [(2, 3), (4,)], ids=["padded", "packed"])
@pytest.mark.parametrize("name", ["pre_norm", "post_norm"])
def test_formula(name, shape):
    join = perturbed(RESIDUALS[name](WIDTH, 0.3)).double()
    x = draw(*shape, WIDTH, dtype=torch.float64) * 3 + 1
    weight, bias = (value.detach().numpy() for value in (join.norm.weight, join.norm.bias))
    np.testing.assert_allclose(join(x, branch).detach().numpy(), joined(name, x.numpy(), weight, bias), atol=1e-12)


def test_the_two_forms_are_the_two_names():
    assert set(RESIDUALS) == {"pre_norm", "post_norm"}
    assert (RESIDUALS["pre_norm"], RESIDUALS["post_norm"]) == (PreNorm, PostNorm)
    assert not PreNorm.normed_output
    assert PostNorm.normed_output


def test_dropout_is_on_the_branch_alone():
    join = PreNorm(WIDTH, 0.5).train()
    x = draw(40, WIDTH)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        added = join(x, torch.ones_like) - x
    assert {round(value, 4) for value in added.flatten().tolist()} == {0.0, 2.0}
    assert 0.4 < added.ne(0).float().mean() < 0.6


@pytest.mark.parametrize("name", ["pre_norm", "post_norm"])
def test_every_stack_ends_normed(name):
    """What reaches the head has mean 0 and variance 1 in each token, whatever the last layer does."""
    encoder: Encoder = network(ROWS[0], residual=name).encoder
    for part in encoder.modules():
        if isinstance(part, torch.nn.LayerNorm):
            torch.nn.init.ones_(part.weight)
            torch.nn.init.zeros_(part.bias)
    with torch.no_grad():
        encoder.layers[-1].feedforward.output.weight.mul_(100)
        x = encoder(torch.arange(6)[None], Positions.from_lengths(torch.tensor([6])))
    assert x.mean(-1).abs().max() < 1e-5
    assert (x.var(-1, unbiased=False) - 1).abs().max() < 1e-3


def test_pre_norm_keeps_a_stream_that_no_branch_touches():
    x = draw(3, WIDTH) * 100
    assert torch.equal(PreNorm(WIDTH, 0.0)(x, torch.zeros_like), x)
