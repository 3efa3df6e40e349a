"""Laws of the folder on disk: any changed, missing, linked or unknown file is refused, and nothing in it can run."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scriptchain.errors import ModelError
from scriptchain.runtime.bundle import FILES, Bundle, fingerprints
from scriptchain.runtime.session import Session


@pytest.fixture
def copy(tiny_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_run, tmp_path / "copy"))


def read_all(folder: Path) -> None:
    bundle = Bundle(folder)
    for name in FILES:
        bundle.read(name)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("fault", ["flip", "truncate", "extend", "empty", "missing"])
def test_every_change_of_every_file_is_refused(copy, name, fault):
    path = copy / name
    content = bytearray(path.read_bytes())
    if fault == "flip":
        content[len(content) // 2] ^= 1
    changed = {"truncate": content[:-1], "extend": content + b"\0", "empty": b""}.get(fault, content)
    path.unlink() if fault == "missing" else path.write_bytes(changed)
    says = (
        "must exist in a run folder"
        if fault == "missing"
        else "must be the file that training wrote, got another SHA-256"
    )
    with pytest.raises(ModelError, match=says):
        read_all(copy)


def test_an_untouched_copy_loads(copy):
    read_all(copy)
    assert Session(copy).labels.names == ("bad", "good")


@pytest.mark.parametrize("kind", ["link", "folder", "fifo"])
def test_only_plain_files_inside_the_folder_are_read(copy, kind, tmp_path):
    path = copy / "model.onnx"
    outside = tmp_path / "outside.onnx"
    path.rename(outside)
    {"link": lambda: path.symlink_to(outside), "folder": path.mkdir, "fifo": lambda: os.mkfifo(path)}[kind]()
    with pytest.raises(ModelError, match=r"must be a plain file inside the run folder$"):
        Session(copy)


def test_a_linked_folder_is_a_folder(copy, tmp_path):
    (tmp_path / "link").symlink_to(copy)
    read_all(tmp_path / "link")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 99}, "the format must be 1, got 99; hint: upgrade scriptchain"),
        ({"format": 0}, "the format must be 1, got 0; hint: train it again"),
        ({"run_this": "rm"}, "must be a manifest of scriptchain (Object contains unknown field `run_this`)"),
        ({"files": []}, "must be a manifest of scriptchain (Expected `object`, got `array` - at `$.files`)"),
    ],
)
def test_a_manifest_of_another_kind_is_refused(copy, change, message):
    path = copy / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ModelError) as caught:
        Bundle(copy)
    assert message in str(caught.value)


def test_loading_runs_no_code_opens_no_socket_and_reads_nothing_else(copy):
    """An audit hook cannot be removed, so it is asked in a process of its own."""
    code = f"""
import sys
from scriptchain.runtime.session import Session

def use():
    session = Session({str(copy)!r}, threads=1)
    session.probabilities(["a text"]), session.baseline_logits(["a text"]), session.saw(["a text"])

use()  # what is imported late is imported now
seen = []
sys.addaudithook(lambda event, arguments: seen.append((event, str(arguments[:1]))))
use()
print([e for e in seen if e[0].split(".")[0] in ("exec", "compile", "import", "socket", "subprocess", "pickle")
       or e[0] in ("os.system", "os.exec", "os.posix_spawn") or (e[0] == "open" and {str(copy)!r} not in e[1])])
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_equal_texts_have_equal_fingerprints():
    one, two, other = fingerprints(["Hello,  World!", "hello world", "hello worlds"])
    assert one == two != other
