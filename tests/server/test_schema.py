"""The OpenAPI document holds what the server does: a machine that reads it finds no answer that it does not name."""

import re
import subprocess
import sys
from pathlib import Path

from .serving import serving


def test_schemathesis_finds_nothing(tiny_run: Path, tmp_path):
    with serving(tiny_run) as server:
        address = f"http://127.0.0.1:{server.port}/openapi.json"
        found = subprocess.run(
            [Path(sys.executable).with_name("schemathesis"), "run", address, "--checks", "all", "--max-examples", "60",
             "--seed", "1", "--no-color"],
            capture_output=True, text=True, cwd=tmp_path, timeout=300, check=False,
        )  # fmt: skip
        assert found.returncode == 0, found.stdout
        count = re.search(r"(\d+) generated, (\d+) passed", found.stdout)
        assert count is not None, found.stdout
        assert int(count[1]) == int(count[2]) >= 200
        text = server.client.get("/metrics").text
        assert not re.search(r'status="5', text)
        assert server.process.poll() is None
