"""Laws of the error tree: the drawing in errors.py is the truth, every exit code is the contract's, one line each."""

import inspect
import re

import pytest

from scriptchain import errors

LINE = re.compile(r"^    (?P<indent>[│├└─ ]*)(?P<name>\w+)(?: \((?P<also>\w+)\))? +exit (?P<codes>[\d]+)(?P<rest>.*)$")


def drawn() -> dict[str, tuple[str | None, str | None, int]]:
    """Class name -> (parent by the drawing, builtin it also is, first exit code)."""
    assert errors.__doc__ is not None
    tree: dict[str, tuple[str | None, str | None, int]] = {}
    path: list[str] = []
    for line in errors.__doc__.splitlines():
        if found := LINE.match(line):
            depth = len(found["indent"]) // 4
            path = [*path[:depth], found["name"]]
            tree[found["name"]] = (path[-2] if depth else None, found["also"], int(found["codes"]))
    return tree


CLASSES = {name: kind for name, kind in vars(errors).items() if inspect.isclass(kind)}


def test_the_drawing_names_every_class_once():
    assert sorted(drawn()) == sorted(CLASSES)
    assert len(CLASSES) == 10


@pytest.mark.parametrize("name", sorted(drawn()))
def test_a_class_stands_where_it_is_drawn_with_the_exit_code_that_is_drawn(name):
    parent, also, code = drawn()[name]
    kind = CLASSES[name]
    assert kind.__bases__[0].__name__ == (parent or "Exception")
    if also is not None:
        assert also in {base.__name__ for base in kind.__mro__}
    error = kind("what", exit_code=code) if name == "Interrupted" else kind(*["what"] * (1 + (kind is EXTRA)))
    assert error.exit_code == code


EXTRA = errors.MissingExtraError


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        ("UsageError", ValueError), ("ConfigError", ValueError), ("MissingExtraError", ImportError),
        ("DataError", ValueError), ("ModelError", ValueError), ("NotFittedError", AttributeError),
        ("ResourceError", OSError), ("DivergedError", ArithmeticError),
    ],
)  # fmt: skip
def test_users_who_catch_a_builtin_catch_ours(kind, builtin):
    assert issubclass(CLASSES[kind], builtin)


def test_the_exit_codes_are_those_of_the_contract():
    codes = {name: kind.exit_code for name, kind in CLASSES.items() if name != "Interrupted"}
    assert codes == {
        "ScriptChainError": 1, "UsageError": 2, "ConfigError": 2, "MissingExtraError": 2, "DataError": 3,
        "ModelError": 4, "NotFittedError": 4, "ResourceError": 5, "DivergedError": 6,
    }  # fmt: skip
    assert [errors.Interrupted("stopped", exit_code=code).exit_code for code in (130, 143)] == [130, 143]


@pytest.mark.parametrize("kind", [kind for name, kind in sorted(CLASSES.items()) if name not in ("MissingExtraError",)])
def test_a_message_is_one_line_with_its_hint(kind):
    extra = {"exit_code": 130} if kind is errors.Interrupted else {}
    with_hint, without = kind("a must be b, got c", hint="d", **extra), kind("a must be b, got c", **extra)
    assert (str(with_hint), with_hint.message, with_hint.hint) == (
        "a must be b, got c; hint: d",
        "a must be b, got c",
        "d",
    )
    assert (str(without), without.message, without.hint) == ("a must be b, got c", "a must be b, got c", None)


def test_a_missing_extra_says_what_to_type():
    error = errors.MissingExtraError("training (torch)", "train")
    assert str(error) == "training (torch) needs the [train] extra; hint: pip install 'scriptchain[train]'"


def test_a_resource_error_keeps_its_one_argument():
    # OSError would read a second argument as an errno
    assert errors.ResourceError("disk is full", hint="--output").args == ("disk is full; hint: --output",)
