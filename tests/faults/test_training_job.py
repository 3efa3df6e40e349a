"""T2 to T7, T12, T14, C7: a training job that is killed, stopped, starved or disturbed loses nothing."""

import errno
import io
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from scriptchain import config, durable
from scriptchain.__main__ import run as command
from scriptchain.data.records import from_python
from scriptchain.data.tasks import generate
from scriptchain.errors import Interrupted, ResourceError, UsageError
from scriptchain.run import train
from scriptchain.training import loop

from ..tiny import TINY

MADE = config.resolve("small", settings=TINY)
ROWS = from_python(*generate("negation", "train", 160))


def trained(output: Path, **options):
    return train(ROWS, MADE, output, device="cpu", threads=1, **options)


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class When(io.StringIO):
    """Does something when a line that begins so is written."""

    def __init__(self, beginning: str, action):
        super().__init__()
        self.beginning, self.action = beginning, action

    def write(self, text: str) -> int:
        if text.startswith(self.beginning):
            self.action()
        return super().write(text)


def send(number: int):
    return lambda: os.kill(os.getpid(), number)


def start(tiny_data: Path, output: Path, *more: str) -> subprocess.Popen[str]:
    settings = [part for one in TINY for part in ("--set", one)]
    return subprocess.Popen(
        [sys.executable, "-m", "scriptchain", "train", tiny_data, "--output", output, "--device", "cpu", "--threads",
         "1", "--checkpoint-every", "0", *settings, *more],
        stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def kill_at_random(tiny_data: Path, output: Path, kills: int, seed: int, *more: str) -> int:
    """Kills a run again and again, at random times of its training, then lets it end; how many kills struck."""
    rng, struck = random.Random(seed), 0
    for _ in range(kills):
        process = start(tiny_data, output, "--resume", *more)
        assert process.stderr is not None
        for line in process.stderr:  # the time before the first step is the interpreter's
            if line.startswith(("training takes", "goes on")):
                break
        time.sleep(rng.uniform(0, 0.4))
        process.kill()
        struck += process.wait() == -signal.SIGKILL
        process.stderr.close()
    process = start(tiny_data, output, "--resume", *more)
    _, said = process.communicate()
    assert process.returncode == 0, said
    return struck


def test_t2_killed_at_random_times_it_ends_with_the_same_bytes(tiny_data, tiny_run, tmp_path):
    assert kill_at_random(tiny_data, tmp_path / "run", 3, seed=0) >= 1
    assert weights(tmp_path / "run") == weights(tiny_run)
    assert left(tmp_path) == ["run"]


@pytest.mark.prove
def test_t2_fifty_kills_of_a_longer_run(tiny_data, tmp_path):
    longer = ("--set", "epochs=40", "--set", "patience=0")
    process = start(tiny_data, tmp_path / "unbroken", *longer)
    _, said = process.communicate()
    assert process.returncode == 0, said
    struck = runs = 0
    while struck < 50:
        output = tmp_path / f"run-{runs}"
        struck += kill_at_random(tiny_data, output, 5, runs, *longer)
        assert weights(output) == weights(tmp_path / "unbroken")
        runs += 1
    sys.stderr.write(f"\n{struck} kills in {runs} runs, {runs} of {runs} ended with the unbroken run's weights\n")


def full_after(count: int, code: int):
    """`durable.write` that fails from the given call on."""
    real, calls = durable.write, []

    def write(path: Path, content: bytes) -> None:
        calls.append(path)
        if len(calls) > count:
            raise OSError(code, os.strerror(code), str(path))
        real(path, content)

    return write


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS], ids=errno.errorcode.get)
def test_t3_t4_a_disk_that_fails_says_what_is_kept(code, tmp_path, monkeypatch, tiny_run):
    monkeypatch.setattr(durable, "write", full_after(4, code))
    with pytest.raises(ResourceError) as caught:
        trained(tmp_path / "run", checkpoint_every=0.0)
    place = f"{tmp_path}/run-partial/checkpoints-seed-0"
    said = {
        errno.ENOSPC: rf"{place}: the disk is full, a checkpoint needs \d\.\d MiB; the last good one is of step 3; "
        "hint: make room, then the same command with --resume",
        errno.EIO: rf"{place}: a checkpoint cannot be saved \(Input/output error\); the last good one is of step 3",
        errno.EROFS: rf"{place}: a checkpoint cannot be saved \(Read-only file system\); the last good one is of step "
        "3",
    }[code]
    assert re.fullmatch(said, str(caught.value))
    assert caught.value.exit_code == 5
    assert left(tmp_path) == ["run-partial"]
    monkeypatch.undo()
    trained(tmp_path / "run", resume=True)
    assert weights(tmp_path / "run") == weights(tiny_run)


def test_t3_no_room_for_the_first_checkpoint_is_said_before_the_first_step(tmp_path, monkeypatch):
    monkeypatch.setattr(durable, "write", full_after(0, errno.ENOSPC))
    monkeypatch.setattr(loop, "take_step", None)
    with pytest.raises(ResourceError, match=r"the disk is full, a checkpoint needs .* MiB; there is none before it"):
        trained(tmp_path / "run")
    assert left(tmp_path) == []


def test_t5_a_folder_that_cannot_be_written_fails_before_the_first_step(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "take_step", None)
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError) as caught:
        trained(tmp_path / "file" / "run")
    assert str(caught.value) == f"{tmp_path}/file must be a folder that can be written (Not a directory)"

    def read_only(path, **_):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr(Path, "mkdir", read_only)
    with pytest.raises(ResourceError) as caught:
        trained(tmp_path / "run")
    assert str(caught.value) == f"{tmp_path} must be a folder that can be written (Read-only file system)"


def test_t5_a_folder_that_is_deleted_meanwhile_is_named(tmp_path):
    def delete() -> None:
        for path in sorted((tmp_path / "run-partial").rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        (tmp_path / "run-partial").rmdir()

    with pytest.raises(ResourceError) as caught:
        trained(tmp_path / "run", checkpoint_every=0.0, stream=When("epoch 1/", delete))
    assert str(caught.value) == (
        f"{tmp_path}/run-partial/checkpoints-seed-0 was deleted during the run, and with it all its checkpoints"
    )
    assert left(tmp_path) == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.parametrize("moment", ["in an epoch", "while scoring", "while saving"])
def test_t6_t7_a_signal_is_followed_by_a_checkpoint(number, code, moment, tmp_path, monkeypatch, tiny_run):
    """The handler only takes a note, whatever the run is doing."""
    owner, name = {
        "in an epoch": (loop.Examples, "loss"), "while scoring": (loop, "validate"), "while saving": (durable, "write"),
    }[moment]  # fmt: skip
    real, calls = getattr(owner, name), []

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) == 2 - (name == "validate"):
            os.kill(os.getpid(), number)
        return real(*arguments)

    monkeypatch.setattr(owner, name, interrupted)
    every = 0.0 if moment == "while saving" else 1e9
    with pytest.raises(Interrupted) as caught:
        trained(tmp_path / "run", checkpoint_every=every)
    assert caught.value.exit_code == code
    monkeypatch.undo()
    steps = max(int(path.name[:9]) for path in tmp_path.glob("run-partial/checkpoints-seed-0/*"))
    assert steps == {"in an epoch": 2, "while scoring": 4, "while saving": 2}[moment]
    assert f"behind step {steps}; all of it is kept in {tmp_path}/run-partial" in str(caught.value)
    trained(tmp_path / "run", resume=True)
    assert weights(tmp_path / "run") == weights(tiny_run)


def test_t6_t7_a_second_signal_stops_at_once_and_spoils_nothing(tmp_path, monkeypatch, tiny_run):
    real, calls = durable.write, []

    def impatient(path: Path, content: bytes) -> None:
        calls.append(path)
        if len(calls) == 3:  # of step 2: twice while it is being saved
            for _ in range(2):
                os.kill(os.getpid(), signal.SIGINT)
        real(path, content)

    monkeypatch.setattr(durable, "write", impatient)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "run", checkpoint_every=0.0)
    monkeypatch.undo()
    assert {path.name[:9] for path in tmp_path.glob("run-partial/checkpoints-seed-0/*")} == {"000000000", "000000001"}
    trained(tmp_path / "run", resume=True)
    assert weights(tmp_path / "run") == weights(tiny_run)


@pytest.mark.parametrize(
    ("key", "most", "less"), [("batch_size", 32, 16), ("batch_tokens", 416, 208)], ids=["rows", "tokens"]
)
def test_t14_memory_that_ends_names_a_smaller_batch(tmp_path, monkeypatch, key, most, less):
    real, calls = loop.Examples.loss, []

    def hungry(*arguments):
        calls.append(1)
        if len(calls) == 3:
            torch.empty(2**50)  # the allocator's own words
        return real(*arguments)

    monkeypatch.setattr(loop.Examples, "loss", hungry)
    with pytest.raises(ResourceError) as caught:
        train(
            ROWS, config.replace(MADE, **{key: most}), tmp_path / "run", device="cpu", threads=1, checkpoint_every=0.0
        )
    assert str(caught.value) == (
        f"a step must fit into memory, got too little for {key} {most} (step 3); hint: --set {key}={less}"
    )
    kept = {path.name[:9] for path in tmp_path.glob("run-partial/checkpoints-seed-0/*")}
    assert kept == {"000000000", "000000001", "000000002"}


def test_t12_after_the_end_it_says_so(tmp_path, capsys, tiny_data, tiny_run):
    done = Path(tmp_path / "run")
    done.symlink_to(tiny_run)
    before = {path: path.stat().st_mtime_ns for path in tiny_run.rglob("*")}
    assert command(["train", str(tiny_data), "--output", str(done), "--resume"]) == 0
    assert capsys.readouterr().out.startswith(f"{done} is finished already")
    assert command(["train", str(tiny_data), "--output", str(done), "--resume", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads((tiny_run / "report.json").read_text())
    assert {path: path.stat().st_mtime_ns for path in tiny_run.rglob("*")} == before


def stopped(folder: Path) -> None:
    with pytest.raises(Interrupted):
        trained(folder, stream=When("epoch 1/", send(signal.SIGTERM)))


def test_an_unfinished_run_is_never_thrown_away_unasked(tmp_path, tiny_run):
    stopped(tmp_path / "run")
    before = left(tmp_path / "run-partial" / "checkpoints-seed-0")
    with pytest.raises(UsageError) as caught:
        trained(tmp_path / "run")
    assert str(caught.value) == (
        f"{tmp_path}/run-partial must be free, got an unfinished run; "
        "hint: --resume goes on with it, --force starts from the beginning"
    )
    assert left(tmp_path / "run-partial" / "checkpoints-seed-0") == before
    said = io.StringIO()
    trained(tmp_path / "run", force=True, stream=said)
    assert "goes on" not in said.getvalue()
    assert weights(tmp_path / "run") == weights(tiny_run)


def test_finish_writes_what_was_learned_so_far(tmp_path):
    stopped(tmp_path / "run")
    report = trained(tmp_path / "run", resume=True, finish=True)
    assert report.data["kept_epoch"] == 1
    assert len((tmp_path / "run" / "history.jsonl").read_text().splitlines()) == 1
    assert left(tmp_path) == ["run"]


def test_finish_needs_something_to_finish(tmp_path):
    with pytest.raises(UsageError) as caught:
        trained(tmp_path / "run", finish=True)
    assert str(caught.value) == "--finish must come with --resume, got it alone; hint: --resume --finish"
    with pytest.raises(UsageError) as caught:
        trained(tmp_path / "run", resume=True, finish=True)
    assert str(caught.value) == (
        f"--finish needs an unfinished run, got none in {tmp_path}/run-partial; hint: leave --finish out"
    )
    assert left(tmp_path) == []


def test_c7_two_trainings_of_one_name(tmp_path, tiny_run):
    others: list[str] = []

    def another() -> None:
        for options in ({}, {"resume": True}, {"force": True}):
            with pytest.raises(ResourceError) as caught:
                trained(tmp_path / "run", **options)
            others.append(str(caught.value))

    trained(tmp_path / "run", stream=When("epoch 1/", another))
    assert others == 3 * [
        f"{tmp_path}/run-partial must be free, got a folder in use by process {os.getpid()}; "
        "hint: wait for it, or choose another name"
    ]
    assert weights(tmp_path / "run") == weights(tiny_run)
    assert left(tmp_path) == ["run"]


def test_c6_other_rows_are_refused(tmp_path):
    stopped(tmp_path / "run")
    with pytest.raises(ValueError, match="a run must go on with the training rows that it began with, got "):
        train(ROWS.subset(range(1, 160)), MADE, tmp_path / "run", resume=True, device="cpu", threads=1)
    assert left(tmp_path) == ["run-partial"]


def test_an_unfinished_replacement_is_not_lost_to_the_finished_run_that_it_replaces(tmp_path, tiny_run):
    trained(tmp_path / "run")
    stopped_steps = When("epoch 1/", send(signal.SIGTERM))
    with pytest.raises(Interrupted):
        trained(tmp_path / "run", force=True, stream=stopped_steps)
    before = newest_step(tmp_path)
    with pytest.raises(UsageError) as caught:
        trained(tmp_path / "run", resume=True)
    assert str(caught.value) == f"--output must not exist yet, got '{tmp_path}/run'; hint: --force replaces it"
    assert newest_step(tmp_path) == before
    trained(tmp_path / "run", resume=True, force=True)
    assert weights(tmp_path / "run") == weights(tiny_run)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def newest_step(folder: Path) -> str:
    return max(path.name[:9] for path in folder.glob("run-partial/checkpoints-seed-0/*"))
