"""Named intermediates beside the output."""

import pytest
import torch

from scriptchain.model.trace import Trace

from ..positions.rows import ROWS, SAME, difference, network, padding, rows, scatter, texts

LAYER = ["input", "attention.scores", "attention.weights", "after_attention", "output"]


@pytest.fixture
def batch():
    mask = padding((3, 6), 7, "left")
    return scatter(texts(3, 6), mask), mask


@pytest.mark.parametrize("residual", ["pre_norm", "post_norm"])
def test_names(batch, residual):
    trace = Trace()
    network(ROWS[0], num_layers=3, residual=residual)(*batch, trace)
    assert list(trace) == [*(f"layers.{number}.{name}" for number in range(3) for name in LAYER), "output"]
    shapes = {name.split(".", 2)[-1]: tuple(value.shape) for name, value in trace.items()}
    assert shapes == {
        "input": (2, 7, 8), "attention.scores": (2, 2, 7, 7), "attention.weights": (2, 2, 7, 7),
        "after_attention": (2, 7, 8), "output": (2, 7, 8),
    }  # fmt: skip


@rows()
def test_off_by_default_and_the_same_output(batch, row):
    built = network(row)
    traced = built(*batch, Trace())
    assert difference(built(*batch), traced) < SAME
    assert torch.equal(built(*batch, None), built(*batch))


def test_what_is_recorded_is_what_flows(batch):
    """Each layer's output is the next one's input, and the head reads the last."""
    trace = Trace()
    built = network(ROWS[0])
    logits = built(*batch, trace)
    assert torch.equal(trace["layers.0.output"], trace["layers.1.input"])
    assert torch.equal(built.encoder.final_norm(trace["layers.1.output"]), trace["output"])
    pooled = built.head.pooling(trace["output"], batch[1])
    assert difference(built.head.mlp(pooled), logits) < SAME


def test_gradients_can_be_asked_of_what_was_recorded(batch):
    trace = Trace()
    logits = network(ROWS[0])(*batch, trace)
    weights = trace["layers.0.attention.weights"]
    (gradient,) = torch.autograd.grad(logits.sum(), [weights])
    assert gradient.ne(0).any()


def test_a_name_is_recorded_once():
    trace = Trace()
    trace("output", torch.zeros(1))
    with pytest.raises(AssertionError, match="output recorded twice"):
        trace("output", torch.zeros(1))
    scope = trace.scope("layers.0")
    scope("output", torch.ones(1))
    with pytest.raises(AssertionError, match=r"layers\.0\.output recorded twice"):
        trace.scope("layers").scope("0")("output", torch.zeros(1))
    assert list(trace) == ["output", "layers.0.output"]
    assert trace["layers.0.output"].item() == 1


def test_a_trace_serves_one_forward(batch):
    trace = Trace()
    built = network(ROWS[0])
    built(*batch, trace)
    with pytest.raises(AssertionError, match=r"layers\.0\.input recorded twice"):
        built(*batch, trace)
