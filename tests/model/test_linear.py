"""The second product of linear layers: the same numbers, asked for, and nowhere but there."""

from contextlib import suppress

import pytest
import torch
from torch import nn
from torch.backends import mkldnn
from torch.utils._python_dispatch import TorchDispatchMode

from scriptchain import config
from scriptchain.model import linear
from scriptchain.model.linear import Linear, quick_products
from scriptchain.model.pipeline import Network, unpadded

PRODUCTS = {"aten.addmm", "aten.mm", "aten.bmm"}


@pytest.fixture(autouse=True)
def taken(monkeypatch):
    """As where a look at the processor finds it worthwhile."""
    monkeypatch.setattr(linear, "worthwhile", lambda: True)


class Seen(TorchDispatchMode):
    """Each product that is taken, and whether oneDNN was asked for it."""

    def __init__(self):
        super().__init__()
        self.products = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = str(func).rsplit(".", 1)[0]
        if name in PRODUCTS:
            self.products.append((name, mkldnn.matmul.fp32_precision == "bf16"))
        return func(*args, **(kwargs or {}))


def outcome(layer, x):
    layer.zero_grad()
    x = x.clone().requires_grad_()
    y = layer(x)
    (y * torch.linspace(-1, 1, y.numel()).view_as(y)).sum().backward()
    return [y.detach(), x.grad, *(parameter.grad.clone() for parameter in layer.parameters())]


@pytest.mark.parametrize("shape", [(480, 128), (32, 15, 128), (2, 3, 4, 128), (1, 128)])
@pytest.mark.parametrize("bias", [True, False])
def test_output_and_gradients_are_those_of_the_plain_layer(shape, bias):
    torch.manual_seed(0)
    layer, x = Linear(128, 96, bias=bias), torch.randn(shape)
    plain = outcome(layer, x)
    with quick_products(), Seen() as seen:
        quick = outcome(layer, x)
    assert all(asked for _, asked in seen.products)
    assert len(seen.products) == 3
    for one, other in zip(quick, plain, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_second_derivatives_are_those_of_the_plain_layer():
    torch.manual_seed(0)
    layer, x = Linear(16, 8), torch.randn(32, 16, requires_grad=True)

    def second():
        (first,) = torch.autograd.grad(layer(x).pow(3).sum(), x, create_graph=True)
        return torch.autograd.grad(first.pow(2).sum(), [x, layer.weight])

    plain = second()
    with quick_products():
        quick = second()
    for one, other in zip(quick, plain, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-3)


def test_only_the_gradients_that_are_wanted_are_formed():
    layer = Linear(64, 64)
    layer.weight.requires_grad_(False)
    with quick_products(), Seen() as seen:
        layer(torch.randn(64, 64)).sum().backward()
    assert len(seen.products) == 1
    assert layer.weight.grad is None
    assert layer.bias.grad.tolist() == [64.0] * 64


def test_attention_keeps_the_plain_product_forward_and_backward():
    network = Network(config.resolve("seed"), 100, 4)
    ids = torch.randint(4, 100, (8, 12))
    mask = torch.arange(12) < torch.arange(5, 13)[:, None]
    with unpadded(), Seen() as seen:
        network(ids, mask).sum().backward()
    asked = {name: {how for each, how in seen.products if each == name} for name in PRODUCTS}
    assert asked["aten.bmm"] == {False}  # of queries and keys, of weights and values
    assert sum(how for _, how in seen.products) == 3 * 4 * 3
    assert mkldnn.matmul.fp32_precision == "none"


@pytest.mark.parametrize("how", ["outside", "float64", "autocast", "not worthwhile", "compiled"])
def test_elsewhere_the_plain_product_is_taken(how, monkeypatch):
    layer, x = Linear(64, 64), torch.randn(64, 64)
    if how == "not worthwhile":
        monkeypatch.setattr(linear, "worthwhile", lambda: False)
    if how == "compiled":
        monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    if how == "float64":
        layer, x = layer.double(), x.double()
    with Seen() as seen, torch.autocast("cpu", enabled=how == "autocast"):
        if how == "outside":
            layer(x)
        else:
            with quick_products():
                layer(x)
    assert seen.products
    assert not any(asked for _, asked in seen.products)


def test_the_switch_is_as_before_after_an_error():
    with suppress(RuntimeError), quick_products():
        Linear(64, 64)(torch.randn(64, 63))
    assert mkldnn.matmul.fp32_precision == "none"


def test_a_switch_that_somebody_else_set_stays(monkeypatch):
    mkldnn.matmul.fp32_precision = "bf16"
    try:
        with quick_products():
            Linear(64, 64)(torch.randn(64, 64))
        assert mkldnn.matmul.fp32_precision == "bf16"
    finally:
        mkldnn.matmul.fp32_precision = "none"


def test_two_threads_inside_leave_the_switch_as_it_was():
    one, other = linear._onednn(), linear._onednn()
    one.__enter__()
    other.__enter__()
    one.__exit__(None, None, None)
    other.__exit__(None, None, None)
    assert mkldnn.matmul.fp32_precision == "none"


# --- where it is worthwhile -----------------------------------------------------------------------------------


def test_products_of_another_number_type_are_not_exact(monkeypatch):
    plain = nn.functional.linear

    def rounded(x, weight, bias=None):
        return (
            plain(x.bfloat16(), weight.bfloat16(), bias).to(x.dtype) if x.dtype == torch.float32 else plain(x, weight)
        )

    monkeypatch.setattr(nn.functional, "linear", rounded)
    assert not linear.exact()


@pytest.mark.parametrize(
    ("exact", "times", "taken"),
    [(True, 2.1, True), (True, 1.05, False), (True, 0.5, False), (False, 2.1, False)],
)
def test_it_is_worthwhile_where_it_is_exact_and_clearly_quicker(monkeypatch, exact, times, taken):
    monkeypatch.undo()
    monkeypatch.setattr(linear, "exact", lambda: exact)
    monkeypatch.setattr(linear, "_seconds", lambda quick: 1.0 if quick else times)
    linear.worthwhile.cache_clear()
    try:
        assert linear.worthwhile() is taken
    finally:
        linear.worthwhile.cache_clear()


def test_a_look_draws_from_no_stream_of_random_numbers(monkeypatch):
    monkeypatch.undo()
    linear.worthwhile.cache_clear()
    before = torch.get_rng_state()
    linear.worthwhile()
    assert torch.equal(torch.get_rng_state(), before)
