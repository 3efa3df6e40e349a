"""What every test stands on: no network, no deadline, the same examples every time, and one tiny trained model."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

from .messages import Messages
from .tiny import TINY

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # of commands that tests start: two of them must not fight for two cores

# Shared machines are slow at times, and a suite that lands code must give the same answer twice.
settings.register_profile("scriptchain", deadline=None, derandomize=True, max_examples=50, database=None)
settings.load_profile("scriptchain")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--pin-messages", action="store_true", help="write what these tests hear to messages.jsonl")


def pytest_configure(config: pytest.Config) -> None:
    import torch

    torch.set_num_threads(1)
    messages = Messages(config)
    messages.listen()
    config.pluginmanager.register(messages, "messages-of-errors")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How many encodings passed how many laws, and how many rows of the fault catalogue are answered.

    A row of tests/positions/rows.py and a file of laws are one pair; a test is named after its rows of the catalogue.
    """
    passed, failed = ([report.nodeid for report in terminalreporter.getreports(kind)] for kind in ("passed", "failed"))
    if laws := _laws(passed):
        terminalreporter.write_line(laws)
    answered = _rows(passed) - _rows(failed)
    if answered:
        missing = sorted(CATALOGUE - answered, key=lambda row: (row[0], int(row[1:])))
        terminalreporter.write_line(
            f"{len(answered & CATALOGUE)} of {len(CATALOGUE)} rows of the fault catalogue are answered"
            + (f", not {', '.join(missing)}" if missing else "")
        )


CATALOGUE = {
    f"{kind}{n}" for kind, rows in zip("dcmtbh", (29, 10, 16, 16, 8, 35), strict=True) for n in range(1, rows + 1)
}


def _rows(nodes: list[str]) -> set[str]:
    """`test_b1_b2_broken` answers two rows of the catalogue."""
    named = [re.match(r"test_((?:[dcmtbh]\d+_)+)", node.split("::")[-1].lower()) for node in nodes]
    rows = [row for match in named if match for row in match[1].rstrip("_").split("_")]
    return {f"{row[0]}{int(row[1:])}" for row in rows}


def _laws(passed: list[str]) -> str | None:
    from scriptchain.positions import names

    held = {
        (node.split("::")[0], row)
        for node in passed
        for row in [node.rpartition("[")[2].split("-")[0].rstrip("]")]
        if node.startswith("tests/positions/test_")
    }
    pairs = {(law, row) for law, row in held if row in names()} if held else set()
    laws, encodings = ({pair[side] for pair in pairs} for side in (0, 1))
    told = f"{len(pairs)} pairs of encoding x law hold: {len(encodings)} encodings, {len(laws)} laws"
    return told if pairs else None


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CSV of 160 labelled rows with two classes, `good` and `bad`."""
    import csv

    from scriptchain.data.tasks import generate

    path = tmp_path_factory.mktemp("data") / "tiny.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *zip(*generate("negation", "train", 160), strict=True)])
    return path


@pytest.fixture(scope="session")
def tiny_run(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder trained on `tiny_data` in seconds: for reading only."""
    from scriptchain import config
    from scriptchain.data.records import read
    from scriptchain.run import train

    folder = tmp_path_factory.mktemp("runs") / "tiny"
    train(read(tiny_data), config.resolve("small", settings=TINY), folder, device="cpu", threads=1)
    return folder


@pytest.fixture
def command() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `scriptchain ARGUMENTS` as a user does, in a process of its own."""

    def run(*arguments: object, text: str | None = None, cwd: Path | None = None, **environment: str):
        return subprocess.run(
            [sys.executable, "-m", "scriptchain", *map(str, arguments)],
            input=text,
            capture_output=True,
            encoding="utf-8",
            cwd=cwd,
            env={**os.environ, **environment},
            timeout=300,
        )

    return run
