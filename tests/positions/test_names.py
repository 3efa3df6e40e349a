"""The folder, the rows, the command line and the classes name the same encodings; each class states its facts."""

import re
from importlib import metadata
from typing import Any

import pytest

from scriptchain.conformance.inputs import SIZE
from scriptchain.errors import ConfigError
from scriptchain.positions import PositionalEncoding, Size, _find, build, load, names

from .rows import ALONE, ROWS, rows


def check_names(listed: set[str], found: set[str]) -> None:
    assert listed == found, f"rows and files differ in {sorted(listed ^ found)}"


def check_facts(encoding: type[PositionalEncoding], name: str) -> None:
    """What tables, docs and the command line are generated from is there and is consistent."""
    assert encoding.__module__.rsplit(".", 1)[-1] == name, "the file's stem must be the name"
    arxiv = re.fullmatch(r"arXiv \d{4}\.\d{4,5}", encoding.source)
    ours = encoding.source == encoding.encoder_form == "ours"
    assert arxiv or ours, f"source must be one arXiv id, or ours, got {encoding.source!r}"
    assert encoding.__doc__, "the class needs a docstring"
    assert encoding.source in encoding.__doc__, "the docstring must name the source"
    assert "__doc__" in vars(encoding), "the docstring must be its own"
    for fact in ("acts", "learns", "length_limit"):
        value = getattr(encoding, fact)
        assert isinstance(value, str), f"{fact} must be text"
        assert value.strip(), f"{fact} must not be empty"
    assert encoding.encoder_form in ("paper", "ours"), "encoder_form must be paper or ours"
    assert (encoding.learns == "nothing") == (encoding.num_parameters(SIZE) == 0), "learns must agree with the count"
    overridden = [hook for hook in ("place", "embed", "rotate", "bias") if hook in vars(encoding)]
    assert (encoding.acts == "nowhere") == (not overridden), "acts must agree with the hooks"
    assert getattr(encoding, "__final__", False), "an encoding must be final"


def check_claims(encoding: type[PositionalEncoding], row: Any) -> None:
    assert encoding.direction_aware == row.direction_aware, "direction_aware must equal the row's claim"
    assert encoding.shift_invariant == row.shift_invariant, "shift_invariant must equal the row's claim"
    assert (encoding.length_limit != "none") == row.limited, "length_limit must equal the row's claim"


def test_every_file_has_a_row_and_every_row_a_file():
    check_names({row.name for row in ALONE}, set(names()))
    assert names() == sorted(names())
    assert len({row.id for row in ROWS}) == len(ROWS)


@rows(ALONE)
def test_facts(row):
    check_facts(load(row.name), row.name)
    if not row.options:
        check_claims(load(row.name), row)
    assert type(build(row.name, SIZE, row.options)) is load(row.name)


@pytest.mark.parametrize(
    ("name", "hint"),
    [("sinusoid", "did you mean 'sinusoidal'?"), ("Learned", "did you mean 'learned'?"), ("", None), ("zzz", None)],
)
def test_an_unknown_name_is_answered_with_the_nearest(name, hint):
    with pytest.raises(ConfigError) as error:
        load(name)
    expected = hint or f"the encodings are {', '.join(names())}"
    assert str(error.value) == f"positions must be a known encoding, got {name!r}; hint: {expected}"


def test_a_path_is_not_a_name():
    for name in ("_protocol", "__init__", "../errors", "none.py"):
        assert name not in names()
        with pytest.raises(ConfigError):
            load(name)


BAD_OPTIONS = {
    "an unknown option": (
        "learned", {"stdd": 1.0},
        "positions_options must be options of 'learned', got 'stdd'; hint: its options are std, num_positions",
    ),
    "an option where there is none": (
        "none", {"scale": 1.0}, "positions_options must be options of 'none', got 'scale'; hint: it has no options",
    ),
    "the size, which is no option": (
        "sinusoidal", {"size": 1},
        "positions_options must be options of 'sinusoidal', got 'size'; "
        "hint: its options are base, scale, layout, learnable",
    ),
    "text for a number": ("learned", {"std": "big"}, "positions_options.std must be a number, got 'big'"),
    "true for a number": ("learned", {"std": True}, "positions_options.std must be a number, got True"),
    "a list for a number": ("sinusoidal", {"base": [2]}, "positions_options.base must be a number, got [2]"),
    "half a row": (
        "learned", {"num_positions": 12.5},
        "positions_options.num_positions must be an integer or nothing, got 12.5",
    ),
    "true for rows": (
        "learned", {"num_positions": True},
        "positions_options.num_positions must be an integer or nothing, got True",
    ),
    "a table that is too short": (
        "learned", {"num_positions": 11},
        "num_positions must be at least max_seq_len 12, got 11; hint: positions_options.num_positions=12",
    ),
    "no spread": (
        "learned", {"std": 0.0}, "std must be a positive number, got 0.0; hint: positions_options.std=0.02",
    ),
    "a spread that is no number": (
        "learned", {"std": float("nan")}, "std must be a positive number, got nan; hint: positions_options.std=0.02",
    ),
    "an infinite spread": (
        "learned", {"std": float("inf")}, "std must be a positive number, got inf; hint: positions_options.std=0.02",
    ),
    "waves of infinite length": (
        "sinusoidal", {"base": float("inf")},
        "base must be a number greater than 1, got inf; hint: positions_options.base=10000",
    ),
    "waves without a size": (
        "sinusoidal", {"scale": float("nan")},
        "scale must be a positive number, got nan; hint: positions_options.scale=1.0",
    ),
    "an unknown layout": ("rope", {"layout": "pairs"}, "layout must be half or interleaved, got 'pairs'"),
    "a share above 1": ("rope", {"p": 1.5}, "p must be in (0, 1], got 1.5; hint: positions_options.p=1.0"),
    "no channel that turns": (
        "rope", {"partial": 0.1},
        "the width of a head must be even with at least one pair that turns, got 4 at partial 0.1; "
        "hint: a num_heads that leaves d_model / num_heads even, positions_options.partial=1.0",
    ),
    "a rotation without a base": (
        "rope", {"base": 0.5}, "base must be a number greater than 1, got 0.5; hint: positions_options.base=10000",
    ),
    "buckets that cannot be halved twice": (
        "t5_bias", {"num_buckets": 6},
        "num_buckets must be a multiple of 4, got 6; hint: positions_options.num_buckets=32",
    ),
    "buckets that reach too far": (
        "t5_bias", {"max_distance": 8},
        "max_distance must be greater than num_buckets / 4, got 8; hint: positions_options.max_distance=32",
    ),
    "a table of one distance": (
        "toeplitz", {"reach": 0}, "reach must be at least 1, got 0; hint: positions_options.reach=64",
    ),
    "a network without units": (
        "cpb", {"hidden": 0}, "hidden must be at least 1, got 0; hint: positions_options.hidden=32",
    ),
    "features of one wave length": (
        "fourier", {"base": 1.0}, "base must be a number greater than 1, got 1.0; hint: positions_options.base=1000",
    ),
    "features without a size": (
        "fourier", {"std": 0.0}, "std must be a positive number, got 0.0; hint: positions_options.std=0.05",
    ),
    "a learned function without units": (
        "persistent", {"hidden": 0}, "hidden must be at least 1 unit, got 0; hint: positions_options.hidden=32",
    ),
    "an unknown curve": ("kerple", {"kind": "linear"}, "kind must be log or power, got 'linear'"),
    "waves of one length": (
        "sinusoidal", {"base": 1}, "base must be a number greater than 1, got 1.0; hint: positions_options.base=10000",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("name", "options", "message"), BAD_OPTIONS.values(), ids=BAD_OPTIONS)
def test_messages_for_options(name, options, message):
    with pytest.raises(ConfigError) as error:
        build(name, SIZE, options)
    assert str(error.value) == message


def test_an_integer_is_a_number():
    assert build("sinusoidal", SIZE, {"base": 100}).base == 100


def test_sinusoidal_needs_pairs():
    with pytest.raises(ConfigError) as error:
        build("sinusoidal", Size(7, 1, 1, 4), {})
    assert str(error.value) == "d_model must be even for sinusoidal positions, got 7"


def test_learned_waves_need_pairs():
    with pytest.raises(ConfigError) as error:
        build("persistent", Size(7, 1, 1, 4), {})
    assert str(error.value) == "d_model must be even for waves, a sine and a cosine each, got 7"


class Spiral(PositionalEncoding):
    """An encoding of another package, whose author writes annotations as text."""

    def __init__(self, size: "Size", *, turns: "float" = 1.0, hands: "int | None" = None):
        super().__init__(size)
        self.turns = turns


@pytest.fixture
def spiral(monkeypatch):
    """An installed package with an entry point; only its loading is ours."""

    def entry_points(*, group):
        assert group == "scriptchain.positions"
        return metadata.EntryPoints([metadata.EntryPoint("spiral", f"{__name__}:Spiral", group)])

    monkeypatch.setattr(_find.metadata, "entry_points", entry_points)
    monkeypatch.setattr(metadata.EntryPoint, "load", lambda point: Spiral)


def test_encodings_of_other_packages(spiral):
    assert "spiral" in names()
    assert load("spiral") is Spiral
    assert build("spiral", SIZE, {"turns": 2}).turns == 2
    with pytest.raises(ConfigError) as error:
        load("spirals")
    assert str(error.value) == "positions must be a known encoding, got 'spirals'; hint: did you mean 'spiral'?"
    with pytest.raises(ConfigError) as error:
        build("spiral", SIZE, {"turns": "two"})
    assert str(error.value) == "positions_options.turns must be a number, got 'two'"
