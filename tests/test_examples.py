"""The examples run, print what the page says, and are on it word for word; each asserts its own claims."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "other-models.md"
SHOWN = ("own_attention", "encoder_stack")


@pytest.mark.parametrize("name", SHOWN)
def test_an_example_runs_as_shown(name, tmp_path):
    script = ROOT / "examples" / f"{name}.py"
    result = subprocess.run([sys.executable, script], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert result.returncode == 0, result.stderr
    assert not result.stderr
    assert f"```python\n{script.read_text('utf-8')}```\n\n```text\n{result.stdout}```\n" in PAGE.read_text("utf-8")


@pytest.mark.parametrize("name", SHOWN)
@pytest.mark.parametrize(
    ("right", "wrong"),
    [("Positions.from_mask(mask)", "Positions.from_mask(mask | True)"), ("(segment))", "(0 * segment))")],
    ids=["padding", "packing"],
)
def test_an_example_can_fail(name, right, wrong):
    """Pads that count, and texts that are not told apart."""
    script = (ROOT / "examples" / f"{name}.py").read_text("utf-8")
    assert right in script
    with pytest.raises(AssertionError):
        exec(compile(script.replace(right, wrong), name, "exec"), {"__name__": "__main__"})


def test_every_example_is_on_the_page():
    for script in (ROOT / "examples").glob("*.py"):
        assert f"(../examples/{script.name})" in PAGE.read_text("utf-8")
