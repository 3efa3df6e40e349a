"""`attend` and `explain` choose the same way, by length, bytes and what the bias can do."""

import sys
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from scriptchain.attention import attend, choice, explain, onnx_operator
from scriptchain.errors import UsageError
from scriptchain.positions import Positions, RelativeValue

from ..positions.rows import draw
from .forms import FORMS

WAYS = {
    "text_attention": "blockwise",
    "row_attention": "blockwise",
    "dense_attention": "dense",
    "onnx_attention": "fused",
    "scaled_dot_product_attention": "fused",
}


def inputs(p: Positions) -> dict[str, Tensor]:
    names = ("q", "k", "v", "side", "other")
    tensors = {name: draw(*p.valid.shape, 2, 3, seed=seed) for seed, name in enumerate(names)}
    length = p.valid.shape[-1]
    return tensors | {"slope": draw(2), "table": draw(2, 2 * length - 1), "given": draw(1, 2, length, length)}


def relative(t: dict[str, Tensor], p: Positions) -> RelativeValue:
    return RelativeValue(lambda delta: delta.unsqueeze(0).expand(3, *delta.shape), p, like=t["q"])


def check_choice(
    patch: pytest.MonkeyPatch, form: Callable | None, p: Positions, says: str, called: str, explain=explain, **how
) -> None:
    """What `explain` says is what `attend` calls."""
    t = inputs(p)
    bias = None if form is None else form(t, p)
    found = []
    for name in WAYS:

        def way(q: Tensor, k: Tensor, v: Tensor, *_: object, name: str = name, **__: object) -> Tensor:
            found.append(name)
            return v

        patch.setattr(sys.modules[attend.__module__], name, way)
    attend(t["q"], t["k"], t["v"], p, scale=1.0, bias=bias, **how)
    line = explain(t["q"], t["k"], t["v"], p, bias=bias, **how)
    assert found == [called], f"attend must go by {called}"
    assert line.startswith(WAYS[called] + ": "), f"explain must say {WAYS[called]}: {line}"
    assert says in line, line


def full(length: int, texts: int = 1) -> Positions:
    return Positions.from_mask(torch.ones(texts, length))


def packed(*lengths: int) -> Positions:
    return Positions.from_packed(torch.arange(len(lengths)).repeat_interleave(torch.tensor(lengths)))


FUSED = "scaled_dot_product_attention"
CASES = [
    (None, full(600), "without a bias", FUSED, {}),
    (None, full(600), "distance alone", "text_attention", {"dropout": 0.1}),
    (None, packed(100, 156), "distance alone", "text_attention", {}),
    ("table", packed(100, 155), "fewer than 256", FUSED, {}),
    ("table", full(255, 3), "fewer than 256 tokens", FUSED, {}),
    ("table", full(256), "distance alone", "text_attention", {}),
    ("low rank and table", full(256), "distance alone", "text_attention", {}),
    ("profile", full(255), "fewer than 256 tokens", FUSED, {}),
    ("profile", full(256), "no more than 1 MiB", FUSED, {}),
    ("profile", full(256, 3), "more than 1 MiB", "row_attention", {}),
    ("profile", packed(200, 200), "more than 1 MiB", "row_attention", {}),
    ("given", full(600), "as a whole only", FUSED, {}),
    ("table", full(256), "a trace reads", "dense_attention", {"trace": print}),
    (relative, full(256), "acts on values", "dense_attention", {}),
    ("table", full(256), "asked for", FUSED, {"backend": "fused"}),
    ("table", full(256), "asked for", "dense_attention", {"backend": "dense"}),
    ("table", full(3), "asked for", "text_attention", {"backend": "blockwise"}),
    ("given", full(3), "asked for", "row_attention", {"backend": "blockwise"}),
]


@pytest.fixture
def low_limit(monkeypatch):
    monkeypatch.setattr(choice, "LIMIT", 2**20)


@pytest.mark.parametrize(("form", "p", "says", "called", "how"), CASES)
def test_choice(form, p, says, called, how, monkeypatch, low_limit):
    check_choice(monkeypatch, FORMS.get(form, form), p, says, called, **how)


def test_compiling_and_exporting_stay_with_whole_tensors(monkeypatch):
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    for bias in (FORMS["table"], None):
        check_choice(monkeypatch, bias, full(600), "compiled code", FUSED)
    monkeypatch.setattr(torch.compiler, "is_exporting", lambda: True)
    for bias in (FORMS["table"], None):
        check_choice(monkeypatch, bias, full(600), "an export", "dense_attention")
    monkeypatch.setattr(torch.onnx, "is_in_onnx_export", lambda: True)
    for bias in (FORMS["table"], None):
        check_choice(monkeypatch, bias, full(600), "an export", "dense_attention")
    with onnx_operator():
        for bias in (FORMS["table"], None):
            check_choice(monkeypatch, bias, full(600), "ONNX has an operator", "onnx_attention")
        check_choice(monkeypatch, relative, full(600), "acts on values", "dense_attention")


def test_the_law_bites(monkeypatch, low_limit):
    def guess(*_: object, **__: object) -> str:
        return "blockwise: everything is"

    with pytest.raises(AssertionError, match="explain must say fused"):
        check_choice(monkeypatch, None, full(600), "", FUSED, explain=guess)


def test_explain_counts_bytes():
    p = full(1024, 2)
    t = inputs(p)
    assert explain(t["q"], t["k"], t["v"], p, bias=FORMS["table"](t, p)) == (
        "blockwise: scores depend on distance alone, so texts go one by one without anything of L x L "
        "(bias 16 MiB, weights 16 MiB)"
    )
    assert explain(t["q"], t["k"], t["v"], p).endswith("(bias 0 KiB, weights 16 MiB)")


@pytest.mark.parametrize("backend", ["fused", "blockwise"])
@pytest.mark.parametrize(
    ("how", "cause"), [({"trace": print}, "trace"), ({"bias": relative}, "a bias that acts on values")]
)
def test_what_needs_weights_is_refused(backend, how, cause):
    p = full(4)
    t = inputs(p)
    how = {key: value(t, p) if value is relative else value for key, value in how.items()}
    for call in (lambda: explain(t["q"], t["k"], t["v"], p, backend=backend, **how),
                 lambda: attend(t["q"], t["k"], t["v"], p, scale=1.0, backend=backend, **how)):  # fmt: skip
        with pytest.raises(UsageError) as error:
            call()
        assert str(error.value) == (
            f"backend must be 'dense' or 'auto' with {cause}, got {backend!r}; hint: backend='auto'"
        )
