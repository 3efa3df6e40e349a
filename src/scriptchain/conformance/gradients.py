"""Gradients through embed, bias, rotate and attend are those of float64 finite differences, and reach every number."""

import torch
from torch import Tensor

from ..positions import PositionalEncoding, Positions
from .adapter import Adapter, adapted
from .inputs import SIZE, draw, padding

NOISE = 1e-12  # of float64 gradients: what is no more than this is rounding, as of a number that the softmax cannot see


def through(encoding: PositionalEncoding | Adapter, x_TD: Tensor, p: Positions) -> Tensor:
    """One attention with fixed projections and every hook, in the order of the encoder."""
    return adapted(encoding).through(x_TD, p)


def check_gradients(encoding: PositionalEncoding | Adapter, p: Positions, *, each: bool = True) -> None:
    """Of each number by itself; where they are many, or `each` is false, of all along random directions."""
    encoding = encoding.double()
    x = draw(*p.valid.shape, encoding.size.d_model, dtype=torch.float64).requires_grad_()
    learned = [parameter for _, parameter in adapted(encoding).learned() if parameter.requires_grad]
    # gradcheck moves numbers in place, so that the encoding sees its own parameters move.
    many = sum(parameter.numel() for parameter in learned) > 300
    exact = torch.autograd.gradcheck(
        lambda x, *_: through(encoding, x, p)[p.valid], (x, *learned), raise_exception=False, fast_mode=many or not each
    )
    assert exact, "gradients must equal finite differences"


def check_reach(encoding: PositionalEncoding | Adapter, length: int) -> None:
    """By a text of this length and a short one beside it: some numbers act on short texts alone."""
    encoding = encoding.double()
    mask = padding((length, min(length, SIZE.max_seq_len)), length, "right")
    special = torch.zeros_like(mask)
    special[1, 0] = True  # one text with a [CLS] and one without
    p = Positions.from_mask(mask, special=special)
    x = draw(2, length, encoding.size.d_model, dtype=torch.float64).requires_grad_()
    output = through(encoding, x, p)[mask]
    loss = (output * draw(*output.shape, seed=3, dtype=torch.float64)).sum()
    named = {name: parameter for name, parameter in adapted(encoding).learned() if parameter.requires_grad}
    for name, gradient in zip(
        named, torch.autograd.grad(loss, list(named.values()), allow_unused=True) if named else (), strict=True
    ):
        assert gradient is not None, f"no gradient reaches {name}"
        unmoved = int((gradient.abs() <= NOISE).sum())
        assert not unmoved, f"no gradient reaches {unmoved} numbers of {name}"
