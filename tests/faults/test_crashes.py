"""T1, T3, T4, B1, B2: every system call of a save is failed in turn, and the old or the new file is there each time."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ..programs import program

SCRIPT = Path(__file__).with_name("crashes.py")


def crashes(*arguments: str) -> tuple[int, dict]:
    """The exit code and the summary."""
    program("strace")
    done = subprocess.run(
        [sys.executable, SCRIPT, *arguments], capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("scenario", ["checkpoint", "export", "bulk"])
def test_t1_t3_t4_b1_b2_killed_full_or_broken_at_every_call(scenario):
    code, summary = crashes(scenario)
    found = summary[scenario]
    assert found["wrong"] == []
    assert code == 0
    renames = found["calls"]["rename"] + found["calls"]["renameat2"]
    assert renames >= 3  # each fault at the commit point itself
    assert found["calls"]["fsync"] >= 6
    assert found["points"] == sum(found["calls"].values()) >= 30


@pytest.mark.parametrize(
    ("plant", "scenario", "sign"),
    [
        ("no_fsync", "checkpoint", "renamed before it is on the disk"),
        ("no_rename", "export", "must be the file that training wrote"),
        ("counted_first", "bulk", "rows are lost or doubled"),
        ("old_ones_first", "checkpoint", "no checkpoint is left"),
    ],
)
def test_t1_b1_a_planted_fault_is_found(plant, scenario, sign):
    code, summary = crashes(scenario, "--plant", plant)
    assert code == 1
    assert any(sign in one for one in summary[scenario]["wrong"])
