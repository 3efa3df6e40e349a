"""A network compiles as one graph, and not again for another length."""

import functools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from scriptchain.conformance.compiling import check_compile

from .rows import ROWS, rows

ROOT = Path(__file__).parents[2]


@functools.cache
def report(*names: str) -> dict[str, Any]:
    """One process for all of these: rows, or what test_teeth.py breaks."""
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


@rows()
def test_compile(row):
    check_compile(report(*(row.id for row in ROWS))[row.id])
