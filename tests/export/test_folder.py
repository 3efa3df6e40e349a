"""Laws of the run folder: everything promised is there, pictures show the data, the page is safe and works alone."""

import json
import os
import re

import numpy as np
import pytest
from matplotlib.image import imread

from scriptchain import config
from scriptchain.export import pictures
from scriptchain.export.card import render as render_card
from scriptchain.export.page import render as render_page
from scriptchain.model.pipeline import Network
from scriptchain.report import Report, Table
from scriptchain.runtime.bundle import FILES

from ..programs import program

READ_BY_PEOPLE = {
    "README.md", "confusion.png", "curves.png", "history.jsonl", "manifest.json", "positions.png", "report.html",
    "report.json",
}  # fmt: skip
HOSTILE = "<script>document.title='owned'</script><img src=x onerror=alert(1)>\u202e\x00"


def test_a_run_folder_holds_what_is_promised_and_no_more(tiny_run):
    assert {file.name for file in tiny_run.iterdir()} == {*FILES, *READ_BY_PEOPLE}
    assert set(json.loads((tiny_run / "manifest.json").read_text())["files"]) == set(FILES)


def test_no_path_of_the_machine_is_in_what_a_model_is_made_of(tiny_run):
    for name in (*FILES, "README.md", "manifest.json", "history.jsonl"):
        content = (tiny_run / name).read_bytes()
        assert str(tiny_run.parent).encode() not in content
        assert os.getcwd().encode() not in content


@pytest.mark.parametrize("name", ["confusion.png", "curves.png", "positions.png"])
def test_every_picture_shows_something(tiny_run, name):
    pixels = imread(tiny_run / name)
    assert min(pixels.shape[:2]) > 300
    assert len(np.unique(pixels.reshape(-1, pixels.shape[-1]), axis=0)) > 20


def test_the_position_picture_shows_the_encodings_own_vectors():
    made = config.resolve("small", overrides={"max_seq_len": 9})
    network = Network(made, 300, 2)
    np.testing.assert_array_equal(
        pictures.position_vectors(network), network.encoder.encodings[0].get_parameter("parts.0.table").detach().numpy()
    )
    none = config.replace(made, positions="none", positions_options={})
    assert pictures.position_vectors(Network(none, 300, 2)) is None


def test_the_similarity_panel_is_the_cosine():
    vectors = np.random.default_rng(0).normal(size=(5, 8)).astype(np.float32)
    shown = pictures.positions(vectors, "learned").axes[1].images[0].get_array()
    for i in range(5):
        for j in range(5):
            cosine = vectors[i] @ vectors[j] / np.linalg.norm(vectors[i]) / np.linalg.norm(vectors[j])
            assert shown[i, j] == pytest.approx(cosine, abs=1e-5)


def test_the_confusion_picture_puts_the_truth_in_rows():
    cells = np.array([[3, 1], [0, 4]])
    axes = pictures.confusion(["a", "b"], cells).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]
    assert axes.get_ylabel() == "true"
    np.testing.assert_allclose(axes.images[0].get_array(), [[0.75, 0.25], [0, 1]])


def test_the_page_escapes_what_comes_from_data(tiny_run):
    report = Report(HOSTILE, {}, [Table(HOSTILE, [HOSTILE], [[HOSTILE]], HOSTILE), HOSTILE])
    page = render_page(report, tiny_run, ["curves.png"])
    assert "<script" not in page
    assert "<img src=x" not in page
    assert page.count("<img") == 1


def test_the_page_asks_nothing_of_the_network(tiny_run):
    page = (tiny_run / "report.html").read_text("utf-8")
    assert not re.findall(r"""(?:src|href)=["'](?!data:)""", page)
    assert "url(" not in page


def test_the_card_quotes_the_figures_of_the_report(tiny_run):
    card = (tiny_run / "README.md").read_text("utf-8")
    data = json.loads((tiny_run / "report.json").read_text("utf-8"))
    for metric in ("accuracy", "macro_f1"):
        value = data["metrics"][metric]
        assert f"{100 * value['value']:.1f} % [{100 * value['low']:.1f}, {100 * value['high']:.1f}]" in card
    assert card.startswith("---\nlibrary_name: scriptchain\n")
    resolved = config.resolve("small")
    assert f"divided by {data['temperature']:.2f}, the temperature of the validation rows" in card
    assert "12,345 parameters" in render_card(data, resolved, 12345)


@pytest.mark.browser
def test_the_page_works_in_a_real_browser(tiny_run, tmp_path):
    """Light and dark, wide and narrow: pictures load, nothing overflows, nothing is requested, nothing runs."""
    from playwright.sync_api import sync_playwright

    data = json.loads((tiny_run / "report.json").read_text("utf-8"))
    body = [Table("hostile", ["label"], [[HOSTILE], ["x" * 500]], HOSTILE)]
    page_file = tmp_path / "report.html"
    page_file.write_text(render_page(Report("title", data, body), tiny_run, ["curves.png", "positions.png"]), "utf-8")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program("chromium"), args=["--no-sandbox"])
        for scheme, width in (("light", 1200), ("dark", 380)):
            page = browser.new_page(color_scheme=scheme, viewport={"width": width, "height": 900})
            requests: list[str] = []
            page.on("request", lambda request, seen=requests: seen.append(request.url))
            for file in (page_file, tiny_run / "report.html"):
                page.goto(file.as_uri())
                assert page.title() != "owned"
                assert page.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 300)")
                assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
            assert {url.split(":")[0] for url in requests} <= {"file", "data"}
            ink, paper = (
                page.evaluate(f"getComputedStyle(document.body).{name}") for name in ("color", "backgroundColor")
            )
            light = [sum(map(int, re.findall(r"\d+", value)[:3])) > 382 for value in (ink, paper)]
            assert light == ([False, True] if scheme == "light" else [True, False])
        browser.close()
