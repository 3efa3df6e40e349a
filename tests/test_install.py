"""The package as users get it: built, installed without torch, and doing all that the core promises."""

import json
import os
import shlex
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
INSIDE = ["presets/seed.toml", "presets/small.toml", "data/emotions.csv", "export/templates/report.html",
          "export/templates/explain.html", "server/page/index.html", "server/page/page.js", "py.typed"]  # fmt: skip

pytestmark = pytest.mark.install


def run(*arguments: object, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(a) for a in arguments], capture_output=True, text=True, check=False, **options)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("dist")
    result = run(sys.executable, "-m", "build", "--outdir", folder, ROOT)
    assert result.returncode == 0, result.stdout + result.stderr
    return folder


@pytest.fixture(scope="module")
def core(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of a new environment that holds the wheel and its core dependencies alone."""
    place = tmp_path_factory.mktemp("core")
    venv.create(place, with_pip=True)
    arguments = shlex.split(os.environ.get("PIP_ARGS", ""))
    result = run(place / "bin/python", "-m", "pip", "install", "-q", *arguments, next(built.glob("*.whl")))
    assert result.returncode == 0, result.stderr
    return place / "bin"


def test_wheel_and_sdist_hold_the_data_and_nothing_foreign(built):
    wheel = zipfile.ZipFile(next(built.glob("*.whl"))).namelist()
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        sdist = ["/".join(name.split("/")[1:]) for name in archive.getnames()]
    for name in INSIDE:
        assert f"scriptchain/{name}" in wheel
        assert f"src/scriptchain/{name}" in sdist
    assert {name.split("/")[0].split("-")[0] for name in wheel} == {"scriptchain"}
    assert not [name for name in wheel if name.endswith((".pth", ".so", ".pyc"))]
    sources = {str(path.relative_to(ROOT / "src")) for path in (ROOT / "src").rglob("*.py")}
    assert {name for name in wheel if name.endswith(".py")} == sources


def test_the_core_works_without_torch(core, tiny_run, tiny_data, tmp_path):
    assert run(core / "python", "-c", "import torch").returncode == 1
    program = core / "scriptchain"
    assert run(program, "--version").stdout.startswith("scriptchain 0.")
    checked = run(program, "check", "emotions", "--json", cwd=tmp_path)
    assert json.loads(checked.stdout)["rows"] == 100
    scored = run(program, "evaluate", tiny_run, tiny_data, "--json")
    assert scored.returncode == 0, scored.stderr
    assert json.loads(scored.stdout)["rows"] == 160
    answered = run(program, "predict", tiny_run, "the food was good")
    assert json.loads(answered.stdout)["label"] in ("good", "bad")
    reasons = run(program, "explain", tiny_run, "the food was good", "--json")
    assert json.loads(reasons.stdout)["explanations"][0]["label"] in ("good", "bad")
    assert run(program, "info", tiny_run).returncode == 0
    assert "seed" in run(program, "presets").stdout


def test_training_without_the_extra_says_what_to_install(core, tmp_path):
    result = run(core / "scriptchain", "train", "emotions", "--quiet", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == (
        "error: training (torch) needs the [train] extra; hint: pip install 'scriptchain[train]'\n"
    )
    assert not (tmp_path / "runs" / "emotions").exists()
    for command, told in (("export", "export (torch) needs the [train] extra"),
                          ("serve", "serving (uvicorn) needs the [serve] extra")):  # fmt: skip
        more = ["--data", "emotions"] if command == "export" else []
        result = run(core / "scriptchain", command, "runs/emotions", *more, cwd=tmp_path)
        assert (result.returncode, result.stdout) == (2, "")
        assert told in result.stderr


def test_the_core_install_stays_small(core):
    size = sum(path.stat().st_size for path in (core.parent / "lib").rglob("*") if path.is_file())
    pip = sum(
        p.stat().st_size
        for n in ("pip", "setuptools")
        for p in (core.parent / "lib").rglob(f"{n}*/**/*")
        if p.is_file()
    )
    assert (size - pip) / 2**20 < 220
