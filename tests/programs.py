"""Programs of the system that some tests need."""

import os
import shutil

import pytest


def program(name: str) -> str:
    """Its path. Where it is not installed the test is skipped, which pytest tells; in CI the test fails."""
    found = shutil.which(name)
    if found is None and not os.environ.get("CI"):
        pytest.skip(f"needs Debian's {name}: apt-get install {name} (CI installs it and does not skip)")
    assert found is not None, f"CI must have {name}; see .ci/run"
    return found
