"""Laws of the public surface: the names are sorted and importable, and nothing heavy comes with them."""

import json
import os
import subprocess
import sys
from importlib import import_module, metadata
from pathlib import Path

import pytest

import scriptchain
from scriptchain import _version
from scriptchain.cli.main import COMMANDS

HEAVY = (
    "torch", "sklearn", "scipy", "transformers", "matplotlib", "accelerate", "pandas", "rich", "onnx", "jinja2",
    "fastapi", "uvicorn", "pyarrow", "ray", "huggingface_hub", "captum",
)  # fmt: skip


def imported(code: str, cwd: Path) -> set[str]:
    """The heavy modules that are there after `code` ran in a fresh interpreter."""
    program = f"import sys\n{code}\nprint('\\n@' + __import__('json').dumps(sorted(sys.modules)))"
    path = os.pathsep.join([str(Path(scriptchain.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, encoding="utf-8", cwd=cwd, timeout=60,
        env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.rpartition("@")[2])).intersection(HEAVY)


def test_all_is_sorted_and_each_name_can_be_imported():
    assert scriptchain.__all__ == sorted(scriptchain.__all__)
    assert len(set(scriptchain.__all__)) == len(scriptchain.__all__)
    for name in scriptchain.__all__:
        assert getattr(import_module("scriptchain"), name) is not None
    assert dir(scriptchain) == scriptchain.__all__


def test_every_error_class_of_the_family_is_public():
    from scriptchain import errors

    family = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, Exception)}
    assert family - set(scriptchain.__all__) == {"Interrupted"}  # the command line's own


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"^module 'scriptchain' has no attribute 'Clasifier'$"):
        _ = scriptchain.Clasifier


def test_the_version_is_that_of_the_package():
    try:
        installed = metadata.version("scriptchain")
    except metadata.PackageNotFoundError:
        installed = _version.__version__
    assert scriptchain.__version__ == _version.__version__ == installed


@pytest.mark.parametrize(
    "code",
    [
        "import scriptchain; assert scriptchain.__version__",
        "from scriptchain import DataError, Classifier",
        "from scriptchain.__main__ import run; assert run(['--help']) == 0",
        "from scriptchain.__main__ import run; assert run(['presets']) == 0",
        "from scriptchain.__main__ import run; assert run(['check', 'emotions']) == 0",
        "from scriptchain.__main__ import run; assert run(['predict', MODEL, 'a text']) == 0",
        "from scriptchain.__main__ import run; assert run(['evaluate', MODEL, DATA]) == 0",
        "from scriptchain.__main__ import run; assert run(['evaluate', MODEL, MODEL, DATA, '--json']) == 0",
        "from scriptchain.__main__ import run; assert run(['info', MODEL]) == 0",
        "from scriptchain.__main__ import run; assert run(['explain', MODEL, 'a text']) == 0",
        "from scriptchain.__main__ import run; assert run(['predict', MODEL, '--file', DATA]) == 0",
    ],
)
def test_what_needs_no_training_imports_no_training_library(code, tiny_run, tiny_data, tmp_path):
    assert imported(f"MODEL, DATA = {str(tiny_run)!r}, {str(tiny_data)!r}\n{code}", tmp_path) == set()


def test_the_law_above_can_see_a_heavy_import(tmp_path):
    assert imported("import sklearn", tmp_path) >= {"sklearn"}


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_needs_them_for_its_help(command, tmp_path):
    code = f"from scriptchain.__main__ import run; assert run([{command!r}, '--help']) == 0"
    assert imported(code, tmp_path) == set()


def test_help_imports_neither_numpy_nor_onnxruntime(tmp_path):
    code = (
        "from scriptchain.__main__ import run; run(['--help']); assert not {'numpy', 'onnxruntime'} & set(sys.modules)"
    )
    assert imported(code, tmp_path) == set()
