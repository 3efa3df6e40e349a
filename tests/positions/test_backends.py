"""Every backend of `attend` gives the same output and the same gradients, with any bias, mask or packing."""

import pytest
import torch

from scriptchain.attention import attend
from scriptchain.conformance.backends import check_backends, check_trace, check_traced_network, inputs, run
from scriptchain.conformance.inputs import streams
from scriptchain.errors import UsageError
from scriptchain.model.trace import Trace
from scriptchain.positions import Positions

from .rows import network, rows

FORMS = ["right", "left", "packed", "packed-1N"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("bias", ["none", "shared", "each"])
@pytest.mark.parametrize("form", range(len(FORMS)), ids=FORMS)
def test_backends_agree(form, bias, dtype):
    check_backends(attend, streams(7)[form], bias, dtype)


@pytest.mark.parametrize("bias", ["none", "each"])
def test_backends_agree_on_a_text_without_tokens(bias):
    check_backends(attend, Positions.from_mask(torch.tensor([[True, False, True], [False, False, False]])), bias)


@pytest.mark.parametrize("bias", ["none", "shared", "each"])
@pytest.mark.parametrize("form", range(len(FORMS)), ids=FORMS)
def test_trace(form, bias):
    check_trace(attend, streams(7)[form], bias)


@rows()
def test_a_traced_network_is_the_same(row):
    check_traced_network(network(row))


def test_the_fused_kernel_cannot_be_traced():
    p = streams(4)[0]
    with pytest.raises(UsageError) as error:
        run(attend, inputs(p, "none", torch.float32), p, backend="fused", trace=Trace())
    assert str(error.value) == "backend must be 'dense' or 'auto' with trace, got 'fused'; hint: backend='auto'"
