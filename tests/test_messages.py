"""Laws of what is said when something fails: every message is ours, stands once, and is pinned by a row."""

import ast
from collections import Counter

import pytest

from .messages import Place, places, rows

# What is raised and is no error of ours: never seen by who uses a command or the library as its pages say.
OTHERS = {
    "__init__.py": ["AttributeError"],  # of a module, as Python has it
    "__main__.py": ["KeyboardInterrupt", "Terminated"],  # signals, turned into exit codes there
    "cli/diagnose.py": ["typer.Exit"],  # 7: a verdict holds
    "cli/main.py": ["typer.Exit"],  # after --version
    "run.py": ["KeyboardInterrupt"],  # a second signal
}


def raised(tree: ast.Module) -> list[str]:
    """The names of what a file raises, but for errors of ours, variables, and calls of its own functions."""
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and node.exc is not None:
            name = ast.unparse(node.exc.func if isinstance(node.exc, ast.Call) else node.exc)
            names += [name]
    return names


def test_every_place_that_makes_an_error_has_one_row():
    pinned = Counter(Place(row["file"], row["makes"]) for row in rows())
    assert sorted(places().keys() - pinned.keys()) == []
    assert sorted(pinned.keys() - places().keys()) == []
    assert set(pinned.values()) == {1}


def test_no_message_is_written_twice():
    assert [place for place, spans in places().items() if len(spans) > 1] == []


def test_a_row_names_its_class_and_one_line():
    for row in rows():
        assert row["makes"].startswith(f"{row['says'].partition(':')[0]}("), row
        assert "\n" not in row["says"], row


def test_rows_name_tests_that_run(request):
    """Where whole files of tests were collected, their rows must be among them: a renamed test pins nothing."""
    if request.config.getoption("keyword") or any("::" in argument for argument in request.config.args):
        pytest.skip("only some tests of a file were asked for")
    nodes = {item.nodeid for item in request.session.items}
    files = {node.partition("::")[0] for node in nodes}
    assert [row["test"] for row in rows() if row["test"].partition("::")[0] in files and row["test"] not in nodes] == []
