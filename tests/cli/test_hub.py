"""Laws of push and pull: what arrives is what left, nothing else goes out, and nothing broken takes a name."""

import json
import shutil
from fnmatch import fnmatch
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import numpy as np
import pytest

from scriptchain import runtime
from scriptchain.__main__ import run

NAME = "hf:some-one/feelings"
TEXTS = ["the food was good", "not good"]


@pytest.fixture
def hub(tmp_path, monkeypatch) -> Path:
    """A hub whose repositories are folders."""
    place = tmp_path / "hub"

    def create_repo(repo_id, *, private, exist_ok):
        assert exist_ok
        (place / repo_id).mkdir(parents=True, exist_ok=True)
        (place / repo_id / ".private").write_text(str(private))

    def upload_folder(*, repo_id, folder_path, allow_patterns, delete_patterns, commit_message):
        assert commit_message.startswith("scriptchain ")
        repository = place / repo_id
        for file in list(repository.iterdir()):
            if any(fnmatch(file.name, pattern) for pattern in delete_patterns):
                file.unlink()
        for file in Path(folder_path).iterdir():
            if any(fnmatch(file.name, pattern) for pattern in allow_patterns):
                shutil.copy(file, repository / file.name)
        return SimpleNamespace(oid="c0ffee")

    def snapshot_download(repo_id, *, revision, allow_patterns, local_dir):
        assert revision in (None, "c0ffee")
        if not (place / repo_id).exists():
            raise OSError("404: no such repository\nand more")
        (Path(local_dir) / ".cache").mkdir(parents=True)
        for file in (place / repo_id).iterdir():
            if any(fnmatch(file.name, pattern) for pattern in allow_patterns):
                shutil.copy(file, Path(local_dir) / file.name)
        return local_dir

    for function in (create_repo, upload_folder, snapshot_download):
        monkeypatch.setattr(huggingface_hub, function.__name__, function)
    return place


@pytest.fixture
def command(capsys):
    def call(*arguments: object) -> tuple[int, str, str]:
        code = run([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return call


def test_what_arrives_is_what_left(hub, command, tiny_run, tmp_path):
    shutil.copytree(tiny_run, tmp_path / "model")
    (tmp_path / "model" / "notes.txt").write_text("mine alone")
    assert command("push", tmp_path / "model", NAME, "--private") == (0, f"{NAME}@c0ffee\n", "")
    there = {file.name for file in (hub / "some-one" / "feelings").iterdir()}
    assert "notes.txt" not in there
    assert "model.onnx" in there
    assert (hub / "some-one" / "feelings" / ".private").read_text() == "True"
    for name in (NAME, f"{NAME}@c0ffee"):
        assert command("pull", name, "--output", tmp_path / "here", "--force") == (0, f"{tmp_path}/here\n", "")
        manifest = json.loads((tiny_run / "manifest.json").read_text())
        for file in (*manifest["files"], "manifest.json", "README.md"):
            assert (tmp_path / "here" / file).read_bytes() == (tiny_run / file).read_bytes()
        answers = [runtime.load(place, threads=1).logits(TEXTS) for place in (tiny_run, tmp_path / "here")]
        np.testing.assert_array_equal(*answers)
    assert not [file for file in tmp_path.iterdir() if file.name.startswith(".")]


def test_what_an_earlier_model_left_there_is_removed(hub, command, tiny_run, tmp_path):
    old = hub / "some-one" / "feelings"
    old.mkdir(parents=True)
    (old / "familiarity.safetensors").write_text("of another model")
    (old / "LICENSE").write_text("its own")
    model = shutil.copytree(tiny_run, tmp_path / "model")
    manifest = json.loads((model / "manifest.json").read_text())
    del manifest["files"]["familiarity.safetensors"]  # this one was trained without validation texts
    (model / "manifest.json").write_text(json.dumps(manifest))
    assert command("push", model, NAME)[0] == 0
    assert not (old / "familiarity.safetensors").exists()
    assert (old / "LICENSE").read_text() == "its own"


def test_without_a_place_it_bears_its_name(hub, command, tiny_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command("push", tiny_run, NAME)
    assert command("pull", NAME) == (0, "feelings\n", "")
    assert command("pull", NAME) == (
        2, "", "error: --output must not exist yet, got 'feelings'; hint: --force replaces it\n"
    )  # fmt: skip
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("precious")
    assert command("pull", NAME, "--output", "mine", "--force")[0] == 2
    assert (tmp_path / "mine" / "file").read_text() == "precious"


@pytest.mark.parametrize("file", ["model.onnx", "labels.json", "tokenizer.json", "manifest.json"])
@pytest.mark.parametrize("fault", ["changed", "missing"])
def test_nothing_broken_goes_out_or_takes_a_name(file, fault, hub, command, tiny_run, tmp_path):
    def broken(folder: Path) -> None:
        if fault == "missing":
            (folder / file).unlink()
        else:
            content = bytearray((folder / file).read_bytes())
            content[len(content) // 2] ^= 1
            (folder / file).write_bytes(content)

    shutil.copytree(tiny_run, tmp_path / "model")
    broken(tmp_path / "model")
    code, out, err = command("push", tmp_path / "model", NAME)
    assert (code, out, len(err.splitlines())) == (4, "", 1)
    assert not hub.exists()
    command("push", tiny_run, NAME)
    broken(hub / "some-one" / "feelings")
    code, out, err = command("pull", NAME, "--output", tmp_path / "here")
    assert (code, out) == (4, "")
    assert err.startswith(f"error: {NAME} must be a model of scriptchain (")
    assert str(tmp_path / ".") not in err.partition("(")[2]
    assert {path.name for path in tmp_path.iterdir()} == {"model", "hub"}


def test_what_is_somebody_elses_model_is_said(hub, command, tmp_path):
    place = hub / "some-one" / "feelings"
    place.mkdir(parents=True)
    (place / "config.json").write_text("{}")
    assert command("pull", NAME, "--output", tmp_path / "here") == (
        4, "",
        f"error: {NAME} must be a model of scriptchain (/model/manifest.json must exist in a run folder)\n",
    )  # fmt: skip


@pytest.mark.parametrize("name", ["feelings", "some-one/feelings", "hf:feelings", "hf:a/b/c", "hf:a/b@", "hf:../x y"])
@pytest.mark.parametrize("verb", ["push", "pull"])
def test_another_kind_of_name_is_refused(verb, name, hub, command, tiny_run):
    arguments = [tiny_run, name] if verb == "push" else [name, "--output", "nowhere"]
    assert command(verb, *arguments) == (
        2, "", f"error: the name must be hf:OWNER/NAME, got {name!r}; hint: hf:my-name/my-model\n"
    )  # fmt: skip


def test_a_revision_cannot_be_pushed(hub, command, tiny_run):
    assert command("push", tiny_run, f"{NAME}@main") == (
        2, "", f"error: a model must be pushed without a revision, got '{NAME}@main'; hint: {NAME}\n"
    )  # fmt: skip


def test_a_hub_that_refuses_is_one_line(hub, command, tiny_run, tmp_path, monkeypatch):
    assert command("pull", NAME, "--output", tmp_path / "here") == (
        5, "", f"error: {NAME} cannot be pulled (404: no such repository)\n"
    )  # fmt: skip

    def refuse(*_, **__):
        raise OSError("401 Client Error\nand more")

    monkeypatch.setattr(huggingface_hub, "create_repo", refuse)
    assert command("push", tiny_run, NAME) == (
        5, "", f"error: {NAME} cannot be pushed (401 Client Error); hint: hf auth login, or HF_TOKEN\n"
    )  # fmt: skip
    assert not (tmp_path / "here").exists()
