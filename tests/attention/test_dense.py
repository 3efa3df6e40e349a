"""Law: the softmax that pads short rows is the softmax."""

import pytest
import torch

from scriptchain.attention.dense import softmax

from ..positions.rows import draw


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("keys", [1, 2, 15, 16, 17, 40])
def test_it_is_the_softmax_and_has_its_gradient(keys, dtype):
    scores = draw(2, 3, 4, keys).to(dtype)
    scores[..., : keys // 2] = float("-inf")
    weight = draw(2, 3, 4, keys, seed=1).to(dtype)
    ours, theirs = (scores.clone().requires_grad_() for _ in range(2))
    found, wanted = softmax(ours), theirs.softmax(-1)
    torch.testing.assert_close(found, wanted)
    for y in (found, wanted):
        (weight * y).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad)


def test_half_types_are_summed_in_single_precision():
    scores = draw(4, 300).bfloat16()
    weights = softmax(scores)
    assert weights.dtype == torch.bfloat16
    assert torch.equal(weights, scores.double().softmax(-1).bfloat16())
