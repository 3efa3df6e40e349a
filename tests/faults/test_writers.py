"""T3: whatever a command or a method writes is whole or not there, and what stood there before is kept until then."""

import errno
import os
import stat
from pathlib import Path

import pytest

from scriptchain import Classifier, durable
from scriptchain.__main__ import run
from scriptchain.errors import ResourceError

from ..refusals import refusal, tree

WRITERS = {
    "presets": ("presets", "copy", "small", "out.toml", "--force"),
    "encodings": ("encodings", "rope", "--plot", "out.svg", "--force"),
    "diagnose": ("diagnose", "seed", "--texts", "32", "--output", "out.html", "--quiet"),
}


def file_of(writer: str) -> Path:
    return Path(next(part for part in WRITERS[writer] if part.startswith("out.")))


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def full(monkeypatch):
    """From here on the disk takes nothing more: what is written stays in memory, and the flush says so."""

    def fsync(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fsync)


@pytest.mark.parametrize("writer", WRITERS)
def test_t3_a_full_disk_keeps_what_stood_there(writer, here, full, capsys):
    file_of(writer).write_text("precious")
    assert run(list(WRITERS[writer])) == 5
    assert capsys.readouterr().err == f"error: {file_of(writer)} cannot be written (No space left on device)\n"
    assert tree(here) == {str(file_of(writer)): b"precious"}


@pytest.mark.parametrize("writer", ["presets", "encodings"])
def test_a_link_stays_a_link_and_a_pipe_a_pipe(writer, here):
    file, target = file_of(writer), Path(f"elsewhere{file_of(writer).suffix}")
    target.write_text("old")
    file.symlink_to(target)
    assert run(list(WRITERS[writer])) == 0
    assert file.is_symlink()
    assert target.read_bytes() != b"old"
    file.unlink()
    os.mkfifo(file)
    reader = os.open(file, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert run(list(WRITERS[writer])) == 0
        assert stat.S_ISFIFO(file.stat().st_mode)
        assert os.read(reader, 1 << 20) == target.read_bytes()
    finally:
        os.close(reader)


@pytest.mark.parametrize("number", range(10))
@pytest.mark.parametrize("place", ["model", "models/one/two"])
def test_t3_a_model_that_cannot_be_saved_leaves_nothing(number, place, here, monkeypatch, tiny_run):
    real, calls = durable.write, []

    def write(path: Path, content: bytes) -> None:
        calls.append(path)
        if len(calls) > number:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(path, content)

    monkeypatch.setattr(durable, "write", write)
    model = Classifier.from_pretrained(tiny_run, threads=1)
    if number == len(model.files()) + 1:
        model.save_pretrained(place)
        assert sorted(path.name for path in Path(place).iterdir()) == [*sorted([*model.files(), "manifest.json"])]
        return
    with pytest.raises(ResourceError) as caught:
        model.save_pretrained(place)
    assert str(caught.value) == f"{place} cannot be written (No space left on device)"
    assert [path for path in here.rglob("*") if not path.is_dir() or path.name == Path(place).name] == []


def test_t3_a_folder_of_ones_own_stays_when_the_model_does_not_fit(here, full, tiny_run):
    Path("mine").mkdir()
    with pytest.raises(ResourceError, match=r"^mine cannot be written \(No space left on device\)$"):
        Classifier.from_pretrained(tiny_run, threads=1).save_pretrained("mine")
    assert tree(here) == {"mine": None}


def test_a_model_that_was_not_sealed_is_refused(here, monkeypatch, tiny_run, capsys):
    """Killed between the last file and the manifest."""
    Classifier.from_pretrained(tiny_run, threads=1).save_pretrained("model")
    Path("model/manifest.json").unlink()
    assert refusal(here, capsys, "predict", "model", "a text") == (
        4, "model/manifest.json must exist in a run folder; hint: scriptchain train FILE --output DIR",
    )  # fmt: skip
