"""C1, C3, D26, M9, M10, M14: inputs bred against the four parsers end in an answer or in an error of ours."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("fuzz.py")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="atheris has builds for Linux alone")
PARSERS = ("records", "config", "manifest", "tokenizer")


def fuzzed(*arguments: str) -> tuple[int, dict]:
    done = subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, encoding="utf-8")
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout.splitlines()[-1])


def sound(code: int, found: dict, inputs: int) -> None:
    assert [one for one in found.values() if "broken" in one] == []
    assert (code, set(found)) == (0, set(PARSERS))
    assert min(one["inputs"] for one in found.values()) >= inputs


def test_d26_c3_m9_m10_m14_no_bred_input_breaks_a_parser():
    sound(*fuzzed("--inputs", "10000"), inputs=10_000)


@pytest.mark.parametrize("parser", PARSERS)
def test_d26_c1_m9_m10_m14_a_planted_fault_is_found(parser):
    code, found = fuzzed(parser, "--plant", "--inputs", "100000")
    assert code == 1
    assert found[parser]["said"].startswith(("AttributeError", "IndexError", "KeyError"))


@pytest.mark.prove
def test_d26_c3_m9_m10_m14_nor_do_minutes_of_them():
    before = os.times()
    code, found = fuzzed("--seconds", "300", "--seed", "1")
    after = os.times()
    sound(code, found, inputs=100_000)
    minutes = (after.children_user + after.children_system - before.children_user - before.children_system) / 60
    tried = ", ".join(f"{name} {one['inputs']:,}" for name, one in found.items())
    sys.stderr.write(f"\ninputs tried in {minutes:.1f} CPU minutes, no traceback: {tried}\n")
