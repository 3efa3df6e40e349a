"""`scriptchain diagnose`: one JSON document, the contract's keys, and one line for what cannot be judged."""

import json

import pytest

CLAIM = "memory grows exponentially with layers"


def test_a_claim_is_judged(command):
    result = command("diagnose", "small", "--claim", CLAIM, "--json")
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["verdict"] == "FALSE"
    assert found["law"] == "linear"
    assert set(found["exponent"]) == {"value", "low", "high"}
    assert {"depth", "value"} == set(found["points"][0])
    assert "depth 32" in result.stderr  # progress


def test_a_claim_about_a_run_folder_and_a_config(command, tiny_run, tmp_path):
    file = tmp_path / "deep.toml"
    file.write_text('preset = "small"\nnum_layers = 6\n', "utf-8")
    for target in (tiny_run, file):
        result = command("diagnose", target, "--claim", CLAIM, "--quiet")
        assert result.returncode == 0, result.stderr
        assert "FALSE" in result.stdout
        assert result.stderr == ""


def test_without_a_claim_every_cost_has_its_law(command):
    result = command("diagnose", "seed", "--json", "--quiet")
    assert result.returncode == 0, result.stderr
    cost = json.loads(result.stdout)["cost"]
    assert set(cost) == {"parameters", "flops", "memory"}
    assert {quantity: cost[quantity]["depth"]["law"] for quantity in cost} == dict.fromkeys(cost, "linear")
    assert cost["flops"]["length"]["law"] == "quadratic"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (
            ("small", "--claim", "it is slow"), 2,
            "error: a claim must name one quantity (parameters, flops, memory, time), one law (linear, quadratic, "
            "exponential) and layers or length, or be a known one, got 'it is slow'; "
            'hint: --claim "memory grows exponentially with layers", --claim "gradients vanish with layers"\n',
        ),
        (("smal",), 2, "error: preset must be a known one, got 'smal'; hint: did you mean 'small'?\n"),
        (
            ("no.toml",), 2,
            "error: no.toml: the config file must exist; hint: scriptchain presets copy small my.toml\n",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_judged_is_said_in_one_line(command, arguments, code, message, tmp_path):
    result = command("diagnose", *arguments, cwd=tmp_path)
    assert (result.returncode, result.stderr) == (code, message)
    assert result.stdout == ""


def test_a_preset_is_examined(command):
    result = command("diagnose", "seed", "--json")
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["weights"] == "initial"
    for verdict in found["verdicts"].values():
        assert {"state", "value", "low", "high", "threshold", "source"} <= set(verdict)
    assert found["verdicts"]["position_absent"]["state"] == "HOLDS"  # positions of 0.01 beside words of 1
    assert [row["layer"] for row in found["layers"]] == [0, 1, 2, 3]
    assert len(found["map"]["change"]) == 3
    assert "each layer left out" in result.stderr  # progress


def test_a_run_is_examined_beside_its_initial_weights(command, tiny_run, tmp_path):
    page = tmp_path / "depth.html"
    result = command("diagnose", tiny_run, "--quiet", "--json", "--output", page)
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert (found["weights"], found["initial"]["weights"]) == ("trained", "initial")
    assert set(found["verdicts"]) == set(found["initial"]["verdicts"])
    assert found["layers"] != found["initial"]["layers"]
    assert "rank_collapse" in page.read_text("utf-8")


def test_other_depths_stand_side_by_side(command):
    result = command("diagnose", "seed", "--depths", "2,24", "--quiet", "--json", "--texts", "48")
    assert result.returncode == 0, result.stderr
    shallow, deep = json.loads(result.stdout)["depths"]
    assert (shallow["num_layers"], deep["num_layers"]) == (2, 24)
    assert shallow["verdicts"]["rank_collapse"]["state"] == "DOES NOT HOLD"
    assert deep["verdicts"]["rank_collapse"]["state"] == "HOLDS"


def test_a_verdict_that_holds_may_fail_a_build(command):
    arguments = ("diagnose", "seed", "--quiet", "--texts", "48", "--fail-on", "rank_collapse")
    assert command(*arguments).returncode == 0
    result = command(*arguments, "--fail-on", "position_absent")
    assert result.returncode == 7
    assert result.stderr == "holds: position_absent\n"
    assert "position_absent" in result.stdout  # the report is there all the same


def test_a_claim_about_depth_is_judged(command):
    result = command("diagnose", "seed", "--claim", "gradients vanish with layers", "--json", "--texts", "48")
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["verdict"] == "FALSE"
    assert set(found["exponent"]) == {"value", "low", "high"}
    assert {"depth", "seed", "value"} <= set(found["points"][0])
    assert "post_norm at 24 layers" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (
            ("seed", "--fail-on", "rank_colapse"), 2,
            "error: --fail-on must name a verdict, got 'rank_colapse'; hint: did you mean 'rank_collapse'?\n",
        ),
        (
            ("seed", "--depths", "3,deep"), 2,
            "error: --depths must be numbers of layers, got '3,deep'; hint: --depths 3,6,12,24\n",
        ),
        (
            ("seed", "--cure"), 2,
            "error: training must have labelled texts, got none; hint: --data FILE\n",
        ),
        (
            ("seed", "--data", "few.csv"), 3,
            "error: an examination needs at least 32 texts, got 2; hint: 256 give narrow intervals\n",
        ),
        (
            ("seed", "--output", "no/such/folder.html", "--texts", "32"), 5,
            "error: --output must be a file in a folder that can be written, got 'no/such/folder.html'; "
            "hint: --output depth.html\n",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_examined_is_said_in_one_line(command, arguments, code, message, tmp_path):
    (tmp_path / "few.csv").write_text("text,label\nso good,a\nso bad,b\n", "utf-8")
    result = command("diagnose", *arguments, "--quiet", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (code, message)
    assert result.stdout == ""


def test_settings_do_not_change_a_folder(command, tiny_run):
    result = command("diagnose", tiny_run, "--set", "num_layers=6", "--quiet")
    assert result.returncode == 2
    assert result.stderr.startswith("error: --set must stand beside a preset or config file, got the folder ")
