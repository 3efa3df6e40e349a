"""Before it learns anything, a learnable relative encoding is exactly a named static one."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch

from scriptchain import positions
from scriptchain.conformance.inputs import SIZE, draw, streams
from scriptchain.conformance.start import check_start
from scriptchain.positions import PositionalEncoding, Positions
from scriptchain.positions._slopes import slopes

STARTS = {
    "t5_bias": ("t5_bias", {}, "none", {}),
    "cpb": ("cpb", {}, "none", {}),
    "toeplitz": ("toeplitz", {}, "none", {}),
    "alibi": ("alibi", {}, "alibi", {"learnable": False}),
    "alibi, symmetric": ("alibi", {"symmetric": True}, "alibi", {"symmetric": True, "learnable": False}),
    "fire": ("fire", {}, "none", {}),
    "sandwich": ("sandwich", {}, "sandwich", {"learnable": False}),
    "sandwich, symmetric": ("sandwich", {"symmetric": True}, "sandwich", {"symmetric": True, "learnable": False}),
    "shaw": ("shaw", {}, "none", {}),
    "transformer_xl": ("transformer_xl", {}, "none", {}),
    "deberta": ("deberta", {}, "none", {}),
    "tupe": ("tupe", {}, "none", {}),
    "cope": ("cope", {}, "none", {}),
    "forgetting": ("forgetting", {}, "alibi", {"learnable": False}),
    "distance_profile": ("distance_profile", {}, "none", {}),
    "convolutional": ("convolutional", {}, "none", {}),
    "pope": ("pope", {}, "pope", {"learnable": False}),
    "sinusoidal": ("sinusoidal", {"learnable": True}, "sinusoidal", {}),
    "rope": ("rope", {"learnable": True}, "rope", {}),
    "rope, few frequencies": ("rope", {"learnable": True, "p": 0.5}, "rope", {"p": 0.5}),
}


@pytest.mark.parametrize(("name", "options", "static", "static_options"), STARTS.values(), ids=STARTS)
def test_it_starts_at_a_static_encoding(name, options, static, static_options):
    for p in streams():
        check_start(positions.build(name, SIZE, options), positions.build(static, SIZE, static_options), p)


def test_every_learnable_relative_encoding_has_a_start():
    def learns(encoding: type[PositionalEncoding]) -> bool:
        return encoding.shift_invariant and encoding.num_parameters(SIZE) > 0

    named = {name for name, *_ in STARTS.values()}
    # KERPLE has no static namesake: its start is a formula, pinned in test_kerple_starts_at_its_formula.
    assert {name for name in positions.names() if learns(positions.load(name))} <= named | {"kerple"}


KERPLE: Mapping[str, Callable[[float], float]] = {
    "log": lambda n: -float(torch.log1p(torch.tensor(n))),
    "power": lambda n: -n,
}


@pytest.mark.parametrize("kind", KERPLE)
def test_kerple_starts_at_its_formula(kind):
    p = Positions.from_lengths(torch.tensor([4]))
    x, q = draw(1, 4, SIZE.d_model), draw(1, 4, 2, 4)
    bias: Any = positions.build("kerple", SIZE, {"kind": kind}).bias(x, q, q, p)
    left, right = bias.dense()[0, 0, 3], bias.dense()[0, 0, 0]
    assert left.tolist() == pytest.approx([KERPLE[kind](float(n)) for n in (3, 2, 1, 0)], abs=1e-6)
    assert right.tolist() == pytest.approx([KERPLE[kind](float(n)) / 2 for n in (0, 1, 2, 3)], abs=1e-6)


def test_alibi_slopes_are_the_papers():
    """8 heads: 1/2, 1/4 .. 1/256; 12 heads: those of 8, then every other of 16."""
    assert slopes(8).tolist() == [2.0**-n for n in range(1, 9)]
    assert slopes(12)[8:].tolist() == pytest.approx([2.0 ** (-0.5 * n) for n in (1, 3, 5, 7)])
    assert len(slopes(1)) == 1


def test_sinusoidal_waves_have_the_scale_of_the_tokens_unless_told_otherwise():
    size = positions.Size(8, 2, 1, 4, embedding_std=0.05)
    p = Positions.from_lengths(torch.tensor([1]))
    for options, scale in (({}, 0.05), ({"scale": 2.0}, 2.0)):
        added = positions.build("sinusoidal", size, options).embed(torch.zeros(1, 1, 8), p)
        assert added[0, 0].tolist() == pytest.approx([0.0] * 4 + [scale] * 4)


def test_fourier_starts_at_the_scale_it_is_told():
    for std in (0.05, 1.0):
        encoding = positions.build("fourier", SIZE, {"std": std})
        p = Positions.from_lengths(torch.tensor([SIZE.max_seq_len]))
        with torch.no_grad():
            added = encoding.embed(torch.zeros(1, SIZE.max_seq_len, SIZE.d_model), p)
        assert added.std().item() == pytest.approx(std, rel=1e-4)


def test_persistent_starts_as_sinusoidal_to_the_bit():
    size = positions.Size(8, 2, 3, 40, embedding_std=0.05)
    p, x = Positions.from_lengths(torch.tensor([40, 7])), draw(2, 40, 8)
    ours, waves = (positions.build(name, size, {"base": 500.0}) for name in ("persistent", "sinusoidal"))
    assert torch.equal(ours.embed(x, p), waves.embed(x, p))
