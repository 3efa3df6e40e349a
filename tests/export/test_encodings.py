"""Laws of an encoding's picture: every panel shows something, says what, and nothing covers a line."""

import io

import numpy as np
import pytest
from matplotlib.image import imread

from scriptchain.cli.encodings import PICTURES
from scriptchain.export.encodings import FORMATS, draw, picture
from scriptchain.export.hooks import BY_CONTENT, STARTS_AT_ZERO
from scriptchain.positions import Dense, PositionalEncoding, Size, build, names
from scriptchain.style import style
from scriptchain.training.seed import seeded

SIZE = Size(d_model=32, num_heads=4, num_layers=2, max_seq_len=12)


def built(name: str, **options: object) -> PositionalEncoding:
    with seeded(0):
        return build(name, SIZE, options)


@pytest.mark.parametrize("name", names())
def test_every_panel_shows_something_and_says_what(name):
    content = io.BytesIO()
    with style():
        figure = draw(built(name), name)
        figure.set_dpi(130)
        figure.savefig(content, format="png", dpi=130)
    content.seek(0)
    pixels = imread(content)[::-1]  # figures count from below
    panels = [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]
    assert bool(panels) == (name != "none")
    assert len(np.unique(pixels.reshape(-1, pixels.shape[-1]), axis=0)) > 10
    for axes in panels:
        assert all((axes.get_title(), axes.get_xlabel(), axes.get_ylabel()))
        left, low, right, high = axes.get_window_extent().extents.round().astype(int)
        inside = pixels[low + 4 : high - 4, left + 4 : right - 4]
        assert len(np.unique(inside.reshape(-1, inside.shape[-1]), axis=0)) > 1, "an empty panel"
        if legend := axes.get_legend():
            assert not legend.get_window_extent().overlaps(axes.get_window_extent())


def test_the_law_above_can_see_an_empty_panel():
    with style():
        figure = draw(built("kerple"), "kerple")
        figure.axes[0].lines[0].remove()
        content = io.BytesIO()
        figure.savefig(content, format="png")
    content.seek(0)
    assert len(np.unique(imread(content)[60:300, 120:850].reshape(-1, 4), axis=0)) == 1


@pytest.mark.parametrize(("kind", "start"), [("pdf", b"%PDF"), ("png", b"\x89PNG"), ("svg", b"<?xml")])
def test_the_same_encoding_gives_the_same_bytes_in_every_format(kind, start):
    content = picture(built("rope"), "rope", kind)
    assert content.startswith(start)
    assert content == picture(built("rope"), "rope", kind)


def test_the_command_knows_the_formats_without_loading_this():
    assert [f".{kind}" for kind in sorted(FORMATS)] == list(PICTURES)


def test_a_line_a_head_and_heads_that_do_the_same_share_one():
    def labels(name: str, **options: object) -> list[str]:
        return [text.get_text() for text in draw(built(name, **options), name).axes[0].get_legend().get_texts()]

    assert labels("alibi") == ["head 0", "head 1", "head 2", "head 3"]
    assert labels("kerple") == ["all heads"]
    shared = built("kerple")
    shared.get_parameter("log_r1").data[2] += 1
    line = draw(shared, "kerple").axes[0].lines[1]
    np.testing.assert_array_equal(line.get_xdata(), np.arange(12) - 6)
    assert line.get_ydata()[6] == max(line.get_ydata()) == 0  # distance 0 costs nothing
    assert [line.get_label() for line in draw(shared, "kerple").axes[0].lines] == ["heads 0, 1, 3", "head 2"]


def test_a_title_says_what_was_chosen_at_random():
    assert draw(built("toeplitz"), "toeplitz").axes[0].get_title() == (
        f"toeplitz: what is added to the scores of the query in the middle\n({STARTS_AT_ZERO})"
    )

    class ByContent(PositionalEncoding):
        def bias(self, x_TD, q_THE, k_THE, p):
            return Dense(q_THE.transpose(1, 2) @ k_THE.permute(0, 2, 3, 1))

    assert draw(ByContent(SIZE), "mine").axes[0].get_title().endswith(f"\n({BY_CONTENT})")


def test_where_nothing_acts_one_line_says_so():
    figure = draw(built("none"), "none")
    assert [text.get_text() for text in figure.texts] == [
        "none: nothing acts; coordinates, stream, queries, keys and scores stay as they are"
    ]


def test_coordinates_are_drawn_against_the_number_of_the_token():
    class Half(PositionalEncoding):
        def place(self, p):
            return p.at(p.coordinate * 0.5)

    left, placed = draw(Half(SIZE), "half").axes[0].lines
    np.testing.assert_array_equal(left.get_ydata(), np.arange(12))
    np.testing.assert_array_equal(placed.get_ydata(), np.arange(12) / 2)
