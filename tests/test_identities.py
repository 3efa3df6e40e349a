"""Encodings that are the same function under other names, each identity in float64: the lines of docs/identities.md."""

import math
import re
from pathlib import Path
from typing import TypeVar

import pytest
import torch
from torch import Tensor, nn

from scriptchain.attention import Toeplitz as Table
from scriptchain.attention import attend
from scriptchain.positions import (
    Alibi,
    Bias,
    Deberta,
    Forgetting,
    Grouped,
    LowRank,
    Pope,
    PositionalEncoding,
    Positions,
    Rope,
    Size,
    Toeplitz,
    TransformerXl,
    Tupe,
    build,
)

PAGE = Path(__file__).parents[1] / "docs" / "identities.md"
L, H, E = 20, 4, 8
SIZE = Size(d_model=H * E, num_heads=H, num_layers=1, max_seq_len=L)
P = Positions.from_lengths(torch.tensor([L]))
BY_DISTANCE = ("alibi", "cpb", "fire", "kerple", "sandwich", "t5_bias", "toeplitz")
EXACT = 1e-11

Module = TypeVar("Module", bound=nn.Module)


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def perturbed(module: Module) -> Module:
    """In float64, every parameter away from where it starts."""
    module.double()
    with torch.no_grad():
        for number, parameter in enumerate(module.parameters()):
            parameter.add_(0.3 * draw(*parameter.shape, seed=100 + number))
    return module


def hold(parameter: Tensor | None, value: Tensor) -> None:
    assert parameter is not None
    assert parameter.shape == value.shape
    parameter.data = value.detach()


X, Q, K, V = draw(1, L, H * E), *(draw(1, L, H, E, seed=seed) for seed in (1, 2, 3))
DISTANCES = torch.arange(1 - L, L, dtype=torch.float64)
CAUSAL = torch.ones(L, L).tril().bool()


def bias_of(encoding: PositionalEncoding, p: Positions = P, q: Tensor = Q, k: Tensor = K) -> Bias:
    bias = encoding.bias(X, q, k, p)
    assert bias is not None
    return bias


def logits(bias: Bias) -> Tensor:
    return bias.dense().detach()[0]


def products(encoding: PositionalEncoding, q: Tensor, k: Tensor, p: Positions = P) -> Tensor:
    """Scores `(1, H, L, L)` of what the encoding turned."""
    turned_q, turned_k = (x.transpose(1, 2) for x in encoding.rotate(q, k, p))
    return (turned_q @ turned_k.mT).detach()


def table_of(scores_HLL: Tensor) -> Tensor:
    """The 2L - 1 numbers of each head that stand in the first column and the first row, if there is no more."""
    return torch.cat([scores_HLL[:, :, 0].flip(1), scores_HLL[:, 0, 1:]], 1)


def far(one: Tensor, other: Tensor) -> float:
    return float((one - other).abs().max())


@pytest.mark.parametrize("name", BY_DISTANCE)
def test_a_bias_by_distance_is_a_table(name):
    bias = bias_of(perturbed(build(name, SIZE, {})))
    table = table_of(logits(bias))
    assert table.shape == (H, 2 * L - 1)
    free = Toeplitz(SIZE, reach=L - 1)
    hold(free.table, table)
    assert far(logits(bias_of(free)), logits(bias)) < EXACT
    out = [attend(Q, K, V, P, scale=E**-0.5, bias=same).detach() for same in (bias, bias_of(free), Table(table))]
    assert far(out[0], out[1]) < EXACT
    assert far(out[0], out[2]) < EXACT


@pytest.mark.parametrize("name", ["shaw", "deberta", "transformer_xl", "tupe", "cope", "forgetting"])
def test_what_reads_more_than_distance_is_no_table(name):
    found = logits(bias_of(perturbed(build(name, SIZE, {}))))
    assert far(logits(Table(table_of(found))), found) > 0.1


def test_transformer_xl_is_deberta_with_fewer_numbers():
    """A number of each key, the same at all distances, a table of vectors that queries meet, a table of numbers."""
    xl, deberta, free = perturbed(TransformerXl(SIZE)), Deberta(SIZE, reach=L - 1).double(), Toeplitz(SIZE, reach=L - 1)
    angles = -DISTANCES[:, None] * 10_000 ** (-torch.arange(H * E // 2, dtype=torch.float64) / (H * E // 2))
    vectors = (xl.project @ torch.cat([angles.sin(), angles.cos()], 1).T).unflatten(0, (H, E))
    hold(deberta.key, vectors)
    hold(deberta.query, xl.content[..., None].expand(H, E, 2 * L - 1))
    hold(free.table, torch.einsum("he,hed->hd", xl.position, vectors) * E**-0.5)
    assert far(logits(bias_of(deberta) + bias_of(free)), logits(bias_of(xl))) < EXACT
    of_keys = LowRank((E**-0.5 * xl.content).expand(Q.shape), K, P)
    assert all(torch.linalg.matrix_rank(head) == 1 for head in logits(of_keys))
    hold(deberta.query, torch.zeros(H, E, 2 * L - 1, dtype=torch.float64))
    assert far(logits(of_keys + bias_of(deberta) + bias_of(free)), logits(bias_of(xl))) < EXACT


def test_tupe_with_cls_is_a_table_and_a_product_of_rank_e_plus_2():
    """One more column for the row of [CLS], one for its column: each takes away what the table has there."""
    tupe, free = perturbed(Tupe(SIZE)), Toeplitz(SIZE, reach=L - 1)
    hold(free.table, tupe.table)
    special = torch.zeros(1, L, dtype=torch.bool)
    special[0, 0] = True
    found = logits(bias_of(tupe, Positions.from_mask(torch.ones(1, L), special=special)))
    table = logits(bias_of(free))
    normed = nn.functional.layer_norm(tupe.vectors, (H * E,), tupe.norm_weight, tupe.norm_bias)
    u, w = ((normed @ weight.T).detach().unflatten(1, (H, E)) for weight in (tupe.query * E**-0.5, tupe.key))
    u, w = u.clone(), w.clone()
    u[0], w[0] = 0, 0
    first = torch.zeros(L, H, 1, dtype=torch.float64)
    first[0] = 1
    row = -table[:, 0].T[..., None]  # of keys
    of_key = tupe.special.detach()[:, None]
    column = (of_key - table[:, :, 0]).T[..., None] * (1 - first)  # of queries; the corner is the row's
    product = LowRank(torch.cat([u, first, column], -1)[None], torch.cat([w, row, first], -1)[None], P)
    assert product.u_BHQR.shape[-1] == E + 2
    assert far(logits(bias_of(free) + product), found) < EXACT


def test_liere_in_one_dimension_is_rope_with_learned_frequencies():
    """exp(t A), A skew, turns planes; their basis is an orthogonal change of q and k that projections absorb."""
    rope = Rope(SIZE, learnable=True).double()
    skew = draw(H, E, E, seed=7)
    skew = 0.3 * (skew - skew.mT)
    turned = torch.linalg.matrix_exp(torch.arange(L, dtype=torch.float64)[:, None, None, None] * skew)
    expected = torch.einsum("ihfe,ihe,jhfg,jhg->hij", turned, Q[0], turned, K[0])
    frequencies, vectors = torch.linalg.eigh(1j * skew)  # in pairs of one size, negative ones first
    planes = math.sqrt(2) * vectors[..., E // 2 :]
    basis = torch.cat([planes.real, planes.imag], -1)
    assert far(basis.mT @ basis, torch.eye(E, dtype=torch.float64)) < EXACT
    start = 10_000 ** (-torch.arange(E // 2, dtype=torch.float64) / (E // 2))
    hold(rope.log_stretch, (frequencies[:, E // 2 :] / start).log())
    q, k = (torch.einsum("blhe,hef->blhf", x, basis) for x in (Q, K))
    assert far(products(rope, q, k)[0], expected) < EXACT


def test_causal_alibi_is_one_more_channel():
    """-m (i - j) and m j differ by what is the same for all keys of a query, which no softmax sees."""
    bias = logits(bias_of(perturbed(Alibi(SIZE, symmetric=True))))
    slope = -bias[:, 1, 0]
    channel = (slope[:, None] * torch.arange(L)).T[None, ..., None]
    q, k = torch.cat([Q, torch.ones(1, L, H, 1)], -1), torch.cat([K, channel], -1)
    plain, wide = (torch.einsum("blhe,bmhe->hlm", *pair) for pair in ((Q, K), (q, k)))
    weights = [scores.masked_fill(~CAUSAL, -math.inf).softmax(-1) for scores in (plain + bias, wide)]
    assert far(*weights) < EXACT
    assert far((plain + bias).softmax(-1), wide.softmax(-1)) > 0.1  # to both sides it is another function
    assert all(torch.linalg.matrix_rank(head) == L for head in bias)  # and no product of few channels at all


def test_layouts_of_rope_are_a_permutation():
    halves, neighbors = Rope(SIZE), Rope(SIZE, layout="interleaved")
    order = torch.cat([torch.arange(0, E, 2), torch.arange(1, E, 2)])
    assert far(products(halves, Q[..., order], K[..., order]), products(neighbors, Q, K)) < EXACT
    assert far(products(halves, Q, K), products(neighbors, Q, K)) > 0.1


@pytest.mark.parametrize("factor", [2, 4])
def test_linear_scaling_divides_coordinates(factor):
    """Grouped positions are the same read at the first token of each group."""
    scaled, plain = Rope(SIZE, scaling="linear", factor=float(factor)), Rope(SIZE)
    divided = products(plain, Q, K, P.at(P.coordinate.double() / factor))
    assert far(products(scaled, Q, K), divided) < EXACT
    grouped = products(plain, Q, K, Grouped(SIZE, group=factor).place(P))
    assert far(products(scaled, Q, K, P.at(P.coordinate // factor * factor)), grouped) < EXACT
    assert far(divided, grouped) > 0.1


def test_forgetting_with_constant_gates_is_alibi():
    forgetting, alibi = perturbed(Forgetting(SIZE)), Alibi(SIZE).double()
    nn.init.zeros_(forgetting.gates.weight)
    penalties = nn.functional.softplus(-forgetting.gates.bias)  # -ln sigmoid
    hold(alibi.log_slope, penalties.log().unflatten(0, (2, H)).T)
    assert far(logits(bias_of(forgetting)), logits(bias_of(alibi))) < EXACT
    hold(forgetting.gates.weight, draw(2 * H, H * E))
    assert far(logits(bias_of(forgetting)), logits(bias_of(alibi))) > 0.1


def test_pope_without_shift_is_even_in_distance():
    """The same two tokens at all places: the score must not know which of them is first."""
    q, k = (x[:, :1].expand(1, L, H, E) for x in (Q, K))
    even, shifted = Pope(SIZE, learnable=False), perturbed(Pope(SIZE))
    scores = products(even, q, k)
    assert far(scores, scores.mT) < EXACT
    scores = products(shifted, q, k)
    assert far(scores, scores.mT) > 0.1


def test_the_page_names_every_identity():
    shown = set(re.findall(r"`(test_\w+)`", PAGE.read_text("utf-8")))
    here = {name for name in globals() if name.startswith("test_")} - {"test_the_page_names_every_identity"}
    assert shown == here
