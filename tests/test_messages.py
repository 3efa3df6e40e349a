"""Laws of what is said when something fails: every message is ours, stands once, and is pinned by a row."""

import ast
from collections import Counter

import pytest

from .messages import OURS, Place, places, rows, trees

# What is raised and is no error of ours; nobody who uses a command or the library as its pages say meets it.
OTHERS = {
    "__init__.py": {"AttributeError"},  # as Python has it for a module
    "__main__.py": {"BrokenPipeError", "KeyboardInterrupt", "Terminated"},  # become exit codes in the same file
    "cli/diagnose.py": {"typer.Exit"},  # 7: a verdict holds
    "cli/main.py": {"typer.Exit"},  # after --version
    "conformance/adapter.py": {"NotAsked"},  # a law that is not asked of this module, as the table then says
    "conformance/laws.py": {"NotAsked"},
    "conformance/save_load.py": {"AssertionError"},  # a law that does not hold
    "conformance/subject.py": {"NotAsked"},
    "data/files.py": {"ValueError"},  # in hooks of the JSON reader; the row's error quotes it
    "model/residual.py": {"NotImplementedError"},  # of a base class
    "positions/_bias.py": {"NotImplementedError"},
    "run.py": {"KeyboardInterrupt"},  # a second signal
    "runtime/documents.py": {"ValueError"},  # as in data/files.py
    "server/app.py": {"Busy", "Refused", "too_large"},  # an answer of the server
    "server/batcher.py": {"Busy"},  # becomes one
    "server/guard.py": {"Refused"},
    "training/checkpoint.py": {"OSError"},  # caught a few lines below
    "training/loop.py": {"_Stopped"},  # the same
}


def raised(tree: ast.Module) -> set[str]:
    """The names of what a file raises, but for errors of ours, variables, and what its own functions make."""
    functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and node.exc is not None:
            called = isinstance(node.exc, ast.Call)
            name = ast.unparse(node.exc.func if isinstance(node.exc, ast.Call) else node.exc)
            own = called and name.rpartition(".")[2] in functions
            variable = not called and name.islower() and "." not in name
            if name not in OURS and not own and not variable:
                found.add(name)
    return found


def test_what_is_raised_is_ours_or_has_its_reason_here():
    assert {file: names for file, tree in trees().items() if (names := raised(tree))} == OTHERS


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
