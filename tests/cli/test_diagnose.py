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
