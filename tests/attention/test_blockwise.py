"""The block-wise ways give the output and all gradients of the dense way, twice the same, and form nothing of L x L."""

import functools

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from scriptchain.attention import Toeplitz, attend, forms, texts, toeplitz
from scriptchain.attention.choice import Backend
from scriptchain.attention.toeplitz import toeplitz_attention
from scriptchain.errors import UsageError
from scriptchain.positions import LowRank, Positions

from ..positions.rows import difference, draw
from .forms import FORMS, PLACES, attend_dense, by_blocks, check_blockwise, inputs

LONG = 512


@pytest.mark.parametrize("rows", [1, 4, 128])
@pytest.mark.parametrize("form", ["none", *FORMS])
@pytest.mark.parametrize("place", PLACES)
def test_every_form_at_every_place(place, form, rows, monkeypatch):
    monkeypatch.setattr(forms, "CHUNK", 4)
    check_blockwise(functools.partial(by_blocks, rows=rows), PLACES[place], form)


@pytest.mark.parametrize("form", ["none", *FORMS])
@pytest.mark.parametrize("place", ["left", "anywhere", "packed"])
def test_float32(place, form):
    check_blockwise(functools.partial(by_blocks, rows=4), PLACES[place], form, torch.float32)


@pytest.mark.parametrize("place", ["right", "left", "packed"])
def test_without_the_fused_kernel(place, monkeypatch):
    """What devices without it do."""
    monkeypatch.setattr(toeplitz, "_fused", lambda q, dropout: False)
    check_blockwise(functools.partial(by_blocks, rows=4), PLACES[place], "table")


@pytest.mark.parametrize("form", ["table", "profile", "cumulative"])
def test_longer_than_a_block(form, monkeypatch):
    place = Positions.from_lengths(torch.tensor([150, 77]))
    monkeypatch.setattr("tests.attention.forms.LONGEST", 150)
    check_blockwise(functools.partial(attend, backend="blockwise"), place, form)


def backwards(q, k, v, *args, **how):
    return toeplitz_attention(q.flip(2), k, v, *args, **how)


def first_columns(curves, n, q):
    longest = (inputs(PLACES["right"])["table"].shape[1] + 1) // 2
    w = curves[0].curve(torch.arange(1 - longest, longest))
    return w[:, : 2 * n - 1].to(q.dtype)


def columns(skewed, count):
    return skewed.sum(1)[:, : skewed.shape[2] - skewed.shape[1] + count - 1]


def one_text(p: Positions):
    return p.valid.flatten().nonzero().squeeze(1), [(int(p.valid.sum()), 1)]


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ((texts, "toeplitz_attention", backwards), "output"),
        ((texts, "_values", first_columns), "output"),
        ((texts, "by_length", one_text), "output"),
        ((toeplitz, "_diagonals", columns), "gradient of table"),
    ],
    ids=["queries not turned", "another slice", "texts in one", "columns for diagonals"],
)
def test_the_law_bites(fault, says, monkeypatch):
    monkeypatch.setattr(*fault)
    with pytest.raises(AssertionError, match=f"{says} must be that of the dense way"):
        check_blockwise(functools.partial(by_blocks, rows=128), PLACES["right"], "table")


@pytest.mark.parametrize(
    ("change", "says"),
    [(lambda table: table.flip(1), "output"), (lambda table: table.detach(), "gradient of table")],
    ids=["i - j", "a table that does not learn"],
)
def test_the_law_bites_on_tables(change, says):
    def way(q, k, v, p, *, scale, bias):
        return by_blocks(q, k, v, p, scale=scale, bias=Toeplitz(change(bias.table)), rows=4)

    with pytest.raises(AssertionError, match=f"{says} must be that of the dense way"):
        check_blockwise(way, PLACES["left"], "table")


@pytest.mark.parametrize("form", ["table", "low rank and table", "profile", "cumulative"])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_the_same_bits_twice(form, dropout):
    p = Positions.from_lengths(torch.tensor([11, 4, 11, 1]))
    results = []
    for _ in range(2):
        t = inputs(p, torch.float32)
        torch.manual_seed(1)
        bias = FORMS[form](t, p)
        y = attend(t["q"], t["k"], t["v"], p, scale=0.7, bias=bias, dropout=dropout, backend="blockwise")
        results.append([y, *torch.autograd.grad(y.square().sum(), list(t.values()), allow_unused=True)])
    for one, other in zip(*results, strict=True):
        assert one is other is None or torch.equal(one, other)


@pytest.mark.parametrize("form", ["table", "profile"])
def test_dropout_has_one_mask_forward_and_backward(form):
    """Finite differences of the output at a fixed seed."""
    p = PLACES["anywhere"]
    t = inputs(p)

    def seeded(q: Tensor, k: Tensor, v: Tensor, table: Tensor, side: Tensor) -> Tensor:
        torch.manual_seed(5)
        bias = FORMS[form]({"q": q, "table": table, "side": side}, p)
        y = attend(q, k, v, p, scale=0.7, bias=bias, dropout=0.4, backend="blockwise")
        return y * p.valid[..., None, None]

    assert torch.autograd.gradcheck(seeded, [t[name] for name in ("q", "k", "v", "table", "side")], fast_mode=True)


def test_blocks_drop_different_weights():
    """Of equal queries, two of one block, of two blocks and of two texts get each a mask of their own."""
    q, v = torch.zeros(2, 1, 64, 8), draw(1, 1, 64, 8).expand(2, -1, -1, -1)
    torch.manual_seed(0)
    y = toeplitz_attention(q, q, v, None, scale=1.0, dropout=0.5, rows=32)
    rows = y.flatten(0, 2)
    assert len(rows.unique(dim=0)) == len(rows)


@pytest.mark.parametrize("form", ["table", "profile"])
def test_a_second_derivative_is_refused(form):
    p = PLACES["right"]
    t = inputs(p)
    y = attend(t["q"], t["k"], t["v"], p, scale=0.7, bias=FORMS[form](t, p), backend="blockwise")
    with pytest.raises(UsageError) as error:
        torch.autograd.grad(y.sum(), t["q"], create_graph=True)
    assert str(error.value) == ("create_graph must be False for block-wise attention, got True; hint: backend='dense'")


@pytest.mark.parametrize("autocast", [False, True], ids=["cast", "autocast"])
@pytest.mark.parametrize(
    ("form", "learns"),
    [("table", False), ("table", True), ("low rank", True), ("profile", True), ("cumulative", True), ("real", True)],
)
def test_bfloat16_is_close(form, learns, autocast):
    p = PLACES["left"]
    exact = inputs(p, torch.float32)
    half = {name: t.detach().to(torch.float32 if autocast else torch.bfloat16) for name, t in exact.items()}
    half = {name: t.requires_grad_(learns or name in "qkv") for name, t in half.items()}
    results = []
    pairs: list[tuple[dict[str, Tensor], Backend]] = [(exact, "dense"), (half, "blockwise")]
    for t, backend in pairs:
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast and t is half):
            y = attend(t["q"], t["k"], t["v"], p, scale=0.7, bias=FORMS[form](t, p), backend=backend)
        loss = (y.float() * p.valid[..., None, None]).square().sum()
        wanted = [t[name] for name in exact if half[name].requires_grad]
        results.append([y[p.valid], *torch.autograd.grad(loss, wanted, allow_unused=True)])
    assert results[1][0].dtype == torch.bfloat16
    for one, other in zip(*results, strict=True):
        if one is None or other is None:
            assert one is other, "a gradient that is not there in one must not be there in the other"
            continue
        assert difference(one, other) < 0.04 * max(1.0, one.abs().max().item())


class Largest(TorchDispatchMode):
    """The most bytes that one new tensor took; a view takes none of its own."""

    def __init__(self):
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else [result]:
            if isinstance(tensor, Tensor):
                self.bytes = max(self.bytes, tensor.untyped_storage().nbytes())
        return result


def check_memory(way, form: str) -> None:
    """One head, so that a block of 128 queries is a quarter of L x L."""
    p = Positions.from_lengths(torch.tensor([LONG, LONG // 2]))
    q, k, v = (draw(2, LONG, 1, 4, seed=seed).requires_grad_() for seed in range(3))
    t = {"q": q, "side": draw(2, LONG, 1, 3, seed=4).requires_grad_(), "slope": draw(1, seed=5).requires_grad_()}
    t |= {"table": draw(1, 2 * LONG - 1, seed=6).requires_grad_(), "other": draw(2, LONG, 1, 3, seed=7)}
    with Largest() as largest:
        way(q, k, v, p, scale=0.5, bias=FORMS[form](t, p)).sum().backward()
    square = LONG * LONG * q.element_size()
    assert largest.bytes < square, f"no tensor may reach L x L, {square} bytes, one took {largest.bytes}"


@pytest.mark.parametrize("form", ["table", "curve", "share of length", "low rank", "low rank and table", "two"])
def test_distances_form_nothing_of_l_by_l(form):
    check_memory(functools.partial(attend, backend="blockwise"), form)


@pytest.mark.parametrize("form", ["profile", "profile of keys", "cumulative", "real"])
def test_rows_form_nothing_of_l_by_l(form):
    """Distances here are int64, so blocks of 32 queries."""
    check_memory(functools.partial(by_one_head, rows=32), form)


def by_one_head(*args, **how):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.attention.forms.HEADS", 1)
        return by_blocks(*args, **how)


@pytest.mark.parametrize("form", ["table", "profile", "cumulative"])
def test_the_law_of_memory_bites(form):
    with pytest.raises(AssertionError, match="no tensor may reach L x L"):
        check_memory(attend_dense, form)


def test_products_of_another_type_are_not_folded():
    p = PLACES["full"]
    t = inputs(p, torch.float32)
    bias = LowRank(t["side"].double(), t["other"].double(), p)
    assert not forms.of_distance(bias, t["q"])
    assert forms.of_distance(LowRank(t["side"], t["other"], p), t["q"])
