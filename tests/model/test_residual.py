"""How a branch joins the stream, against formulas written by hand."""

import math

import numpy as np
import pytest
import torch

from scriptchain.config import make
from scriptchain.model.encoder import Encoder
from scriptchain.model.pipeline import Network
from scriptchain.model.residual import RESIDUALS, DeepNorm, PostNorm, PreNorm, ReZero
from scriptchain.model.trace import Trace
from scriptchain.positions import Positions

from ..positions.rows import ROWS, draw, network, perturbed

WIDTH, DEPTH = 5, 7
CONFIG = make({"d_model": WIDTH, "num_heads": 1, "num_layers": DEPTH})


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


def joined(name: str, x: np.ndarray, f, learned: dict[str, np.ndarray], num_layers: int) -> np.ndarray:
    """The four forms, as their papers write them; `learned` are the form's own parameters by their names."""
    if name == "rezero":
        return x + learned["gate"] * f(x)
    weight, bias = learned["norm.weight"], learned["norm.bias"]
    if name == "pre_norm":
        return x + f(norm(x, weight, bias))
    return norm(x * (num_layers * 2) ** (1 / 4) + f(x) if name == "deep_norm" else x + f(x), weight, bias)


@pytest.mark.parametrize("shape", [(2, 3), (4,)], ids=["padded", "packed"])
@pytest.mark.parametrize("name", list(RESIDUALS))
def test_formula(name, shape):
    join = perturbed(RESIDUALS[name](CONFIG)).double()
    x = draw(*shape, WIDTH, dtype=torch.float64) * 3 + 1
    learned = {key: value.detach().numpy() for key, value in join.named_parameters()}
    expected = joined(name, x.numpy(), lambda y: np.tanh(2 * y) + np.roll(y, 1, -1), learned, DEPTH)
    np.testing.assert_allclose(join(x, branch).detach().numpy(), expected, atol=1e-12)


def test_the_forms_and_their_names():
    assert {"pre_norm": PreNorm, "post_norm": PostNorm, "deep_norm": DeepNorm, "rezero": ReZero} == RESIDUALS
    assert {name for name, form in RESIDUALS.items() if form.normed_output} == {"post_norm", "deep_norm"}


@pytest.mark.parametrize("name", list(RESIDUALS))
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
    assert torch.equal(PreNorm(CONFIG)(x, torch.zeros_like), x)


# --- the forms for depth, at their start ---------------------------------------------------------------------


def streams(num_layers: int, **config) -> list[torch.Tensor]:
    """What enters the first layer of a fresh network and what leaves each, for 16 texts of 12 different tokens."""
    shape = {"d_model": 64, "num_heads": 4, "d_feedforward": 128, "max_seq_len": 12, "embedding_std": 1.0}
    built = Network(make({**shape, "num_layers": num_layers, **config}), 200, 3).eval()
    ids = 5 + torch.rand(16, 195, generator=torch.Generator().manual_seed(0)).argsort(1)[:, :12]
    trace = Trace()
    with torch.no_grad():
        built(ids, torch.ones_like(ids, dtype=torch.bool), trace)
    return [trace["layers.0.input"], *(trace[f"layers.{number}.output"] for number in range(num_layers))]


def alikeness(x: torch.Tensor) -> float:
    """The mean cosine of two tokens of one text."""
    unit = x / x.norm(dim=-1, keepdim=True)
    length = x.shape[1]
    return ((unit @ unit.mT).sum((1, 2)) - length).mean().item() / (length * (length - 1))


def test_deep_norm_keeps_tokens_apart_where_post_norm_makes_them_one():
    """The research note's check at 24 layers: 1.00 and about 0."""
    assert alikeness(streams(24, residual="post_norm")[-1]) > 0.99
    assert alikeness(streams(24, residual="deep_norm")[-1]) < 0.05


@pytest.mark.parametrize("num_layers", [1, 2, 24])
def test_deep_norm_starts_with_smaller_values_and_the_same_queries_and_keys(num_layers):
    shape = {"d_model": 8, "num_heads": 2, "d_feedforward": 16, "num_layers": num_layers}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        plain = dict(Network(make({**shape, "residual": "post_norm"}), 32, 3).named_parameters())
        torch.manual_seed(0)
        deep = dict(Network(make({**shape, "residual": "deep_norm"}), 32, 3).named_parameters())
    assert set(plain) == set(deep)
    for name, value in plain.items():
        gain = torch.ones(len(value), *[1] * (value.dim() - 1))
        if name.endswith(("attention.output.weight", "feedforward.expand.weight", "feedforward.output.weight")):
            gain[:] = (8 * num_layers) ** -0.25
        elif name.endswith("attention.project.weight"):
            gain[16:] = (8 * num_layers) ** -0.25  # behind 8 rows of queries and 8 of keys
        torch.testing.assert_close(deep[name], value * gain, msg=name, rtol=1e-6, atol=0)


def test_rezero_starts_as_the_identity_and_opens():
    x = streams(24, residual="rezero")
    assert all(torch.equal(layer, x[0]) for layer in x)
    built = Network(make({"residual": "rezero"}), 32, 3)
    torch.nn.functional.cross_entropy(
        built(torch.arange(5, 11)[None], torch.ones(1, 6, dtype=torch.bool)), torch.tensor([1])
    ).backward()
    gates = {name: value for name, value in built.named_parameters() if name.endswith(".gate")}
    assert len(gates) == 2 * 3
    assert all(value.grad.abs() > 0 for value in gates.values())
    assert not [name for name, part in built.encoder.layers.named_modules() if isinstance(part, torch.nn.LayerNorm)]
