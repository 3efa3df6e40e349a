"""The page in a real browser: what people type is shown as text, everything works from the keyboard, and nothing is
asked of anybody else."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest

from scriptchain.server.page import KINDS

from ..programs import program
from .serving import Server, serving

pytestmark = pytest.mark.browser
HOSTILE = "the food <script>document.title='x'</script><img src=x onerror=alert(1)> was ‮not good 🙂"


@pytest.fixture(scope="module")
def server(tiny_run: Path) -> Iterator[Server]:
    with serving(tiny_run) as one:
        yield one


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        one = play.chromium.launch(executable_path=program("chromium"), args=["--no-sandbox"])
        yield one
        one.close()


@pytest.fixture
def page(browser, server, request):
    """The page, open; at the end nothing was asked of another host, and the browser complained of nothing."""
    context = browser.new_context(**getattr(request, "param", {"viewport": {"width": 900, "height": 900}}))
    one, asked, complaints = context.new_page(), [], []
    one.on("request", lambda request: asked.append(request.url))
    one.on("pageerror", lambda error: complaints.append(str(error)))
    one.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    one.goto(f"http://127.0.0.1:{server.port}/")
    _loaded(one)
    one.complaints = complaints
    yield one
    assert {urlsplit(url).netloc for url in asked} == {f"127.0.0.1:{server.port}"}
    assert complaints == []
    context.close()


def labeled(page, *texts: str) -> None:
    page.fill("#texts", "\n".join(texts))
    page.keyboard.press("Control+Enter")
    _expect(page.locator("article")).to_have_count(len(texts))


def _loaded(page) -> None:
    _expect(page).to_have_title("tiny · ScriptChain")


def _expect(what):
    from playwright.sync_api import expect

    return expect(what)


def test_h33_what_is_typed_is_shown_as_text(page, server):
    labeled(page, HOSTILE, "good")
    assert page.locator("article .text").first.text_content() == HOSTILE
    assert page.locator("article script, article img").count() == 0
    page.locator(".why").first.click()
    page.wait_for_selector(".words")
    assert page.locator(".words").text_content() == HOSTILE
    assert "tiny" in page.title()
    told = server.predict(HOSTILE, "good", all=True).json()["predictions"]
    for row, one in enumerate(told):
        assert page.locator("article .label").nth(row).text_content() == f"{one['label']}, {100 * one['score']:.1f} %"
        bars = page.locator("article").nth(row).locator(".bars li")
        found = {
            bars.nth(n).locator(".name").text_content(): bars.nth(n).locator(".share").text_content() for n in (0, 1)
        }
        assert found == {name: f"{100 * score:.1f} %" for name, score in one["scores"].items()}


def test_h33_what_is_too_much_is_told_and_the_page_goes_on(page):
    labeled(page, "good")
    page.fill("#texts", "x" * 1_000_000)
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("#said.wrong")
    assert page.locator("#said").text_content() == "a text may have 20,000 characters, got 1,000,000"
    page.complaints.clear()  # the browser's own note of a 413
    assert page.locator("article").count() == 1
    page.fill("#texts", "   ")
    page.keyboard.press("Control+Enter")
    assert page.locator("#said").text_content() == "Write a text first."
    labeled(page, "good", "bad")


def test_everything_works_from_the_keyboard(page):
    assert page.evaluate("document.activeElement.id") == "texts"
    page.keyboard.type("the food was not good")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("article")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "why"
    page.keyboard.press("Enter")
    page.wait_for_selector(".words")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    page.wait_for_selector(".more .bars")
    shuffled = page.locator(".more .text").text_content()
    assert sorted(shuffled.split()) == sorted(["the", "food", "was", "not", "good"])
    assert "In this order it is" in page.locator(".more .note").text_content()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector(".map")
    for _ in range(4):  # layer, head, and the first two tokens
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.locator(".token[aria-pressed=true]").text_content() == page.locator(".token").nth(1).text_content()
    page.locator("#about summary").focus()
    page.keyboard.press("Enter")
    assert page.locator("#about-text").is_visible()
    assert "A text classifier with 2 classes" in page.locator("#about-text").text_content()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.locator("#facts dd").first.is_visible()
    assert page.locator("#facts").text_content().count("bpe") == 1


def test_attention_is_what_the_server_says_of_each_layer_and_head(page, server):
    text = "the food was not good"
    labeled(page, text)
    page.locator(".look").click()
    page.wait_for_selector(".map")
    told = server.client.post("/v1/attention", json={"text": text}).json()
    weights = np.array(told["weights"])
    assert page.locator(".token").all_text_contents() == told["tokens"]
    for head, value in enumerate([weights[0].mean(0), weights[0][0], weights[0][1]]):
        page.locator("select").nth(1).select_option(index=head)
        for token in (0, 3):
            page.locator(".token").nth(token).click()
            titles = page.locator(".token").evaluate_all("all => all.map(one => one.title)")
            assert titles == [f"{100 * weight:.1f} %" for weight in value[token]]
            most = int(value[token].argmax())
            assert f"takes most from {told['tokens'][most]} " in page.locator(".more .note").first.text_content()
            # The map is darkest where the weight is greatest.
            alphas = np.array(page.locator(".map").evaluate(
                """(canvas, count) => { const pen = canvas.getContext("2d"), cell = canvas.width / count, found = [];
                for (let one = 0; one < count; one++) for (let other = 0; other < count; other++)
                  found.push(pen.getImageData((other + .5) * cell, (one + .5) * cell, 1, 1).data[3]);
                return found; }""", len(value),
            )).reshape(value.shape)  # fmt: skip
            np.testing.assert_allclose(alphas / 255, value / value.max(), atol=0.01)
    page.locator(".map").click(position={"x": 5, "y": page.locator(".map").bounding_box()["height"] - 3})
    assert page.locator(".token").last.get_attribute("aria-pressed") == "true"


def test_the_page_for_programs_shows_every_route_and_asks_them(page, server):
    page.locator("a[href='/docs']").click()
    page.wait_for_selector("article")
    paths = server.client.get("/openapi.json").json()["paths"]
    shown = page.locator(".route").all_text_contents()
    assert shown == [f"{verb.upper()} {path}" for path, verbs in paths.items() for verb in verbs]
    for row, verbs in enumerate(paths.values()):
        one = page.locator("article").nth(row)
        one.locator("button").click()
        _expect(one.locator(".output")).to_contain_text("200")
        if "post" in verbs:
            assert "required" in one.locator("dl").first.text_content()
    assert page.evaluate("document.documentElement.scrollWidth") <= 900


@pytest.mark.parametrize(
    "page", [{"viewport": {"width": 360, "height": 640}, "color_scheme": scheme} for scheme in ("light", "dark")],
    indirect=True, ids=["light", "dark"],
)  # fmt: skip
def test_it_can_be_read_on_a_phone_and_in_the_dark(page, request):
    labeled(page, "good " * 60 + "x" * 300, "bad")
    for button, there in ((".why", ".words"), (".look", ".map")):
        page.locator(button).first.click()
        page.wait_for_selector(there)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
    paper, ink = page.evaluate("(s => [s.backgroundColor, s.color])(getComputedStyle(document.body))")
    light = [sum(map(int, color[4:-1].split(","))) for color in (paper, ink)]
    assert (light[0] < light[1]) == (request.node.callspec.id == "dark")
    assert abs(light[0] - light[1]) > 500
    for button in page.locator("button").all():
        box = button.bounding_box()
        assert box["height"] >= 40  # a finger's width


def test_with_a_key_the_browser_asks_for_it(browser, tiny_run):
    key = "a-key-of-some-length"
    with serving(tiny_run, SCRIPTCHAIN_API_KEY=key) as server:
        address = f"http://127.0.0.1:{server.port}/"
        answer = server.client.get("/")
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Basic realm=scriptchain")
        assert server.client.get("/", auth=("anyone", key + "x")).status_code == 401
        assert server.client.get("/", headers={"authorization": "Basic !"}).status_code == 401
        context = browser.new_context(http_credentials={"username": "anyone", "password": key})
        page = context.new_page()
        page.goto(address)
        _loaded(page)
        labeled(page, "good")
        context.close()


def test_the_policy_lets_no_other_script_run(server):
    for path in KINDS:
        answer = server.client.get(path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
    for path in ("/", "/docs"):
        page = server.client.get(path).text
        assert "<script>" not in page
        assert "style=" not in page
        assert "onclick" not in page
