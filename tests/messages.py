"""Every message of the source, pinned to the letter: messages.jsonl holds a row for each place that makes an error.

A row has the place (`file` and `makes`, its expression in the syntax tree), a test that comes by it, and what is said
there then (`says`). While that test runs, exactly that must be said at that place. After a message was altered:

    python -m pytest -n 0 --pin-messages tests/THE_TEST.py        # then read what `git diff` shows
"""

import ast
import json
import os
import re
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from types import FrameType
from typing import NamedTuple

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "scriptchain"
ROWS = Path(__file__).with_name("messages.jsonl")
OURS = {
    node.name for node in ast.parse((SOURCE / "errors.py").read_text("utf-8")).body if isinstance(node, ast.ClassDef)
}


class Place(NamedTuple):
    """An expression that makes an error; lines move, so it is known by its file and its text."""

    file: str
    makes: str


def trees() -> dict[str, ast.Module]:
    """Every file of the source, parsed, under its path; errors.py only says what the errors are."""
    return {
        str(path.relative_to(SOURCE)): ast.parse(path.read_text("utf-8"))
        for path in sorted(SOURCE.rglob("*.py"))
        if path != SOURCE / "errors.py"
    }


def places() -> dict[Place, list[range]]:
    """Every place of the source that makes an error of ours, and the lines where it stands."""
    found: dict[Place, list[range]] = defaultdict(list)
    for file, tree in trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in OURS:
                assert node.end_lineno is not None
                found[Place(file, ast.unparse(node))].append(range(node.lineno, node.end_lineno + 1))
    return dict(found)


def rows() -> list[dict[str, str]]:
    return [json.loads(line) for line in ROWS.read_text("utf-8").splitlines()]


class Messages:
    """A plugin of pytest: hears what a test makes the source say, and holds it against the rows of that test."""

    def __init__(self, config: pytest.Config) -> None:
        self.pinning = config.getoption("--pin-messages")
        self.by_line = {(place.file, n): place for place, spans in places().items() for span in spans for n in span}
        self.rows: dict[str, list[dict[str, str]]] = defaultdict(list)
        for row in rows():
            self.rows[row["test"]].append(row)
        self.heard: dict[Place, list[str]] = defaultdict(list)
        self.found: dict[Place, list[tuple[str, str]]] = defaultdict(list)

    def listen(self) -> None:
        from scriptchain.errors import ScriptChainError

        real = ScriptChainError.__init__

        def heard(error: ScriptChainError, message: str, *, hint: str | None = None) -> None:
            real(error, message, hint=hint)
            if (place := self._place(sys._getframe(1))) is not None:
                self.heard[place].append(f"{type(error).__name__}: {error}")

        ScriptChainError.__init__ = heard

    def _place(self, frame: FrameType | None) -> Place | None:
        """The innermost frame of the source: a subclass's own `__init__` is passed by."""
        while frame is not None:
            path = Path(frame.f_code.co_filename)
            if path.is_relative_to(SOURCE) and path.name != "errors.py":
                return self.by_line.get((str(path.relative_to(SOURCE)), frame.f_lineno))
            frame = frame.f_back
        return None

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item):
        self.heard.clear()
        base = item.config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]  # a test may move `tempdir`
        result = yield
        said = {place: [_anywhere(text, base) for text in texts] for place, texts in self.heard.items()}
        if self.pinning:
            for place, texts in said.items():
                self.found[place].append((item.nodeid, texts[0]))
        else:
            for row in self.rows[item.nodeid]:
                place = Place(row["file"], row["makes"])
                assert row["says"] in said.get(place, []), f"{row} is not what was said: {said.get(place)}"
        return result

    def pytest_sessionfinish(self) -> None:
        """With --pin-messages: a row for each place that was heard, from the test with the shortest name."""
        if not self.pinning:
            return
        known = places()
        kept = {Place(row["file"], row["makes"]): row for row in rows()}
        for place, tests in self.found.items():
            if place not in kept or kept[place]["test"] in dict(tests):  # a row of a test that did not run stays
                test, says = min(tests, key=lambda one: (len(one[0]), one))
                kept[place] = {"file": place.file, "makes": place.makes, "test": test, "says": says}
        lines = [json.dumps(kept[place], ensure_ascii=False) for place in known if place in kept]
        ROWS.write_text("".join(f"{line}\n" for line in lines), "utf-8")


def _anywhere(text: str, base: Path) -> str:
    """The text without what differs from run to run: folders of tests, the number of the process."""
    places = rf"{re.escape(str(base))}/[\w.-]+|{re.escape(tempfile.gettempdir())}/bundles-\w+"
    return re.sub(places, "TMP", text).replace(f"process {os.getpid()}", "process PID")
