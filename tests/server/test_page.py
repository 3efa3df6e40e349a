"""The page in a real browser: what people type is shown as text, everything works from the keyboard, and nothing is
asked of anybody else."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

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
    assert page.locator("#facts dd").first.is_visible()
    assert page.locator("#facts").text_content().count("bpe") == 1


@pytest.mark.parametrize(
    "page", [{"viewport": {"width": 360, "height": 640}, "color_scheme": scheme} for scheme in ("light", "dark")],
    indirect=True, ids=["light", "dark"],
)  # fmt: skip
def test_it_can_be_read_on_a_phone_and_in_the_dark(page, request):
    labeled(page, "good " * 60 + "x" * 300, "bad")
    page.locator(".why").first.click()
    page.wait_for_selector(".words")
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
    for path in ("/", "/page.css", "/page.js"):
        answer = server.client.get(path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
    page = server.client.get("/").text
    assert "<script>" not in page
    assert "style=" not in page
    assert "onclick" not in page
