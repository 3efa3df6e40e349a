"""Gradients through embed, bias, rotate and attend are those of float64 finite differences, and reach every number."""

import torch
from torch import Tensor

from scriptchain.attention import attend
from scriptchain.positions import PositionalEncoding, Positions
from scriptchain.positions import build as build_encoding

from .rows import ROWS, SIZE, Size, build, draw, rows, streams


def through(encoding: PositionalEncoding, x_TD: Tensor, p: Positions) -> Tensor:
    """One attention with fixed projections and every hook, in the order of the encoder."""
    size = encoding.size
    p = encoding.place(p)
    x_TD = encoding.embed(x_TD, p)
    q_THE, k_THE, v_THE = (
        (x_TD @ draw(size.d_model, size.d_model, seed=seed, dtype=x_TD.dtype)).unflatten(-1, (size.num_heads, -1))
        for seed in (11, 12, 13)
    )
    bias = encoding.bias(x_TD, q_THE, k_THE, p)
    q_THE, k_THE = encoding.rotate(q_THE, k_THE, p)
    return attend(q_THE, k_THE, v_THE, p, scale=0.2, bias=bias)


def check_gradients(encoding: PositionalEncoding, p: Positions) -> None:
    encoding = encoding.double()
    x = draw(*p.valid.shape, encoding.size.d_model, dtype=torch.float64).requires_grad_()
    # gradcheck moves each number in place, so that the encoding sees its own parameters move; where there are many, it
    # moves all of them along random directions.
    many = sum(parameter.numel() for parameter in encoding.parameters()) > 300
    exact = torch.autograd.gradcheck(
        lambda x, *_: through(encoding, x, p)[p.valid],
        (x, *encoding.parameters()), raise_exception=False, fast_mode=many,
    )  # fmt: skip
    assert exact, "gradients must equal finite differences"


def check_reach(encoding: PositionalEncoding, length: int) -> None:
    encoding = encoding.double()
    special = torch.zeros(2, length, dtype=torch.bool)
    special[1, 0] = True  # one text with a [CLS] and one without
    p = Positions.from_mask(torch.ones(2, length), special=special)
    output = through(encoding, draw(2, length, encoding.size.d_model, dtype=torch.float64).requires_grad_(), p)
    loss = (output * draw(*output.shape, seed=3, dtype=torch.float64)).sum()
    named = dict(encoding.named_parameters())
    for name, gradient in zip(
        named, torch.autograd.grad(loss, list(named.values()), allow_unused=True) if named else (), strict=True
    ):
        assert gradient is not None, f"no gradient reaches {name}"
        assert gradient.ne(0).all(), f"no gradient reaches {int(gradient.eq(0).sum())} numbers of {name}"


@rows()
def test_gradients_are_exact(row):
    size = Size(8, 2, 1, 4)
    for p in streams(4):
        options = row.at(num_positions=5) if "num_positions" in row.options else row.options
        check_gradients(build_encoding(row.name, size, options).eval(), p)


@rows()
def test_gradients_reach_every_parameter(row):
    check_reach(build(row), row.reach)


def test_a_table_is_trained_only_as_far_as_texts_reach():
    row = next(row for row in ROWS if row.name == "learned")
    encoding = build(row).double()
    p = Positions.from_lengths(torch.tensor([5]))
    through(encoding, draw(1, 5, SIZE.d_model, dtype=torch.float64), p).square().sum().backward()
    reached = encoding.table.grad.ne(0).all(1)
    assert reached.tolist() == [True] * 5 + [False] * (SIZE.max_seq_len - 5)
