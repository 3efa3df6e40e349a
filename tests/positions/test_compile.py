"""A network compiles as one graph, and not again for another length."""

import functools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from . import broken
from .rows import ROWS, SAME, rows

ROOT = Path(__file__).parents[2]


@functools.cache
def report() -> dict[str, Any]:
    """One process for all rows, and for what test_teeth.py breaks."""
    names = [*(row.id for row in ROWS), *(fault.__name__ for fault in broken.UNCOMPILED)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.positions.compiling", *names],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src"), *sys.path])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def check_compile(result: dict[str, Any]) -> None:
    assert result["error"] is None, f"a network must compile as one graph: {result['error']}"
    assert result["compilations"] == 1, f"lengths must not compile again, compiled {result['compilations']} times"
    assert result["difference"] < SAME, f"compiling must not change the logits, moved them by {result['difference']}"


@rows()
def test_compile(row):
    check_compile(report()[row.id])
