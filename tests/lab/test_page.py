"""What people see of a diagnosis: states that follow thresholds, a page that needs nothing and hides nothing."""

import copy
import json
import re

import pytest
import torch

from scriptchain import config
from scriptchain.lab import Batch, examine
from scriptchain.lab.page import render
from scriptchain.lab.ribbon import GLYPHS, ILL, NEAR, UNKNOWN, WELL, ribbon, terminal
from scriptchain.lab.thresholds import THRESHOLDS
from scriptchain.model.pipeline import Network

from ..programs import program


@pytest.fixture(scope="module")
def report() -> dict:
    torch.manual_seed(0)
    shaped = config.replace(config.resolve("small"), d_model=32, num_heads=4, d_feedforward=64, num_layers=5)
    ids = torch.randint(4, 300, (48, 12), generator=torch.Generator().manual_seed(0))
    mask = torch.arange(12) < torch.arange(48).unsqueeze(1) % 6 + 7
    found = examine(Network(shaped, 300, 4), [Batch(ids.masked_fill(~mask, 0), mask)])
    return {"target": "a stack", **found.to_dict()}


@pytest.fixture(scope="module")
def whole(report) -> dict:
    """With everything that a page can have."""
    arm = {
        "accuracy": {"value": 0.6, "low": 0.5, "high": 0.7}, "fitted": {"value": 0.9, "low": 0.8, "high": 1.0},
        "metric": [0.1], "holds": 0, "trials": [{"seed": 1, "accuracy": 0.6}],
    }  # fmt: skip
    arms = [
        {"name": name, "kind": kind, "difference": {"value": gain, "low": gain - 0.1, "high": gain + 0.1}, **arm}
        for name, kind, gain in (("as it is", "as it is", 0.0), ("pre_norm", "remedy", 0.3))
    ]
    points = [{"depth": depth, "fitted": arm["fitted"], "accuracy": arm["accuracy"]} for depth in (1, 3)]
    return {
        **report, "initial": {**report, "weights": "initial"},
        "map": {"change": [[0.1, 0.2, 0.0, 0.3]] * 5, "input": 0.4, "heads": 4},
        "depths": [{"num_layers": depth, "verdicts": report["verdicts"]} for depth in (3, 24)],
        "curves": {"points": points},
        "cure": {"arms": arms, "says": ["pre_norm: +30.0 points"], "followed": "rank_collapse", "epochs": 2,
                 "seeds": [1], "rows": {"train": 80, "choose": 10, "score": 10}},
    }  # fmt: skip


def with_value(report: dict, key: str, layer: int, value: float | None) -> dict:
    changed = copy.deepcopy(report)
    changed["layers"][layer][key] = value
    return changed


@pytest.mark.parametrize(
    ("key", "verdict"),
    [
        ("gradient", "stream_gradient_vanishing"), ("query_key_gradient", "query_key_starvation"),
        ("centered_residual", "rank_collapse"), ("concentration", "entropy_collapse"),
        ("logit_spread", "attention_uniform"), ("sink", "attention_sink"), ("peak", "massive_activations"),
        ("probe", "position_lost"),
    ],
)  # fmt: skip
def test_a_cell_is_ill_where_its_verdict_would_hold(report, key, verdict):
    line, side = THRESHOLDS[verdict].value, THRESHOLDS[verdict].side
    ill, near, well = (0.9, 1.5, 4.0) if side == "below" else (1.1, 0.7, 0.2)

    def state(value: float | None) -> str:
        row = next(row for row in ribbon(with_value(report, key, 3, value)) if row.verdict == verdict)
        return row.cells[3].state

    assert [state(factor * line) for factor in (ill, near, well)] == [ILL, NEAR, WELL]
    assert state(None) == UNKNOWN
    assert state(float("nan")) == UNKNOWN


def test_a_gradient_is_ill_on_both_sides(report):
    row = next(row for row in ribbon(with_value(report, "gradient", 2, 2_000.0)) if row.title == "stream's gradient")
    assert row.cells[2].state == ILL


def test_what_was_never_there_is_not_lost(report):
    """Where no place is read at the input, later layers are no worse."""
    rows = {row.verdict: row for row in ribbon(with_value(report, "probe", 0, 0.0))}
    assert "position_lost" not in rows
    assert rows["position_absent"].cells[0].state == ILL
    assert {cell.state for cell in rows["position_absent"].cells[1:]} == {UNKNOWN}


def test_turns_are_judged_after_training_alone(report):
    assert "dead_layers" in [row.verdict for row in ribbon(report)]
    assert "dead_layers" not in [row.verdict for row in ribbon({**report, "weights": "initial"})]


def test_a_terminal_tells_states_apart_without_color(report):
    lines = terminal(with_value(report, "centered_residual", 4, 0.01)).splitlines()
    assert len(set(GLYPHS.values())) == 4
    row = next(line for line in lines if line.startswith("what differs"))
    assert row.endswith("0.01 at layer 4")
    assert row[lines[0].index("0") + 4] == GLYPHS[ILL]
    deep = {**report, "layers": [{**report["layers"][1], "layer": number} for number in range(130)]}
    assert max(map(len, terminal(deep).splitlines())) < 120


def test_a_page_needs_nothing_from_elsewhere(whole):
    page = render(whole)
    assert not re.findall(r"""(?:src|href)=["']?(?!data:)[^"'>]+""", page)
    assert "://" not in re.sub(r"data:image[^\"]+|<script type=.*?</script>", "", page, flags=re.DOTALL)
    assert page.count("<img ") == 9
    assert all(name in page for name in whole["verdicts"])
    assert all(row["name"] in page for row in whole["layers"])


def test_a_page_holds_every_number(whole):
    document = re.search(r'<script type="application/json" id="report">(.*?)</script>', render(whole), re.DOTALL)
    found = json.loads(document.group(1))
    assert found["verdicts"].keys() == whole["verdicts"].keys()
    assert found["layers"][3]["peak"] == whole["layers"][3]["peak"]


def test_the_same_report_gives_the_same_bytes(whole):
    assert render(whole) == render(copy.deepcopy(whole))


def test_a_hostile_name_is_text(report):
    hostile = '</script><script>alert("x")</script>'
    page = render({**report, "target": hostile, "stack": [hostile, "layers.1"]})
    assert "<script>alert" not in page
    assert page.count("</script>") == 1


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_shows_it_at_any_width(whole, scheme, tmp_path):
    from playwright.sync_api import sync_playwright

    file, said = tmp_path / "depth.html", []
    file.write_text(render(whole), "utf-8")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=program("chromium"), args=["--no-sandbox"])
        for width in (1280, 390):
            page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
            page.on("console", lambda message: said.append(message.text))
            page.on("pageerror", lambda error: said.append(str(error)))
            page.goto(file.as_uri())
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert page.locator("img").count() == page.evaluate(
                "[...document.images].filter(image => image.naturalWidth > 0).length"
            )
            paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert (paper == "rgb(255, 255, 255)") == (scheme == "light")
            assert page.locator(".ribbon tbody tr").count() >= 8
        browser.close()
    assert said == []
