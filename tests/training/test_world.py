"""Laws of several processes that train one model: what they learn is what one with their whole batch learns."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from torch import distributed

from scriptchain import ResourceError
from scriptchain.__main__ import main, run
from scriptchain.data.batches import Batch, pad
from scriptchain.training.world import ALONE, World, joined

from ..refusals import refusal

ALIKE = ["--preset", "seed", "--set", "token_dropout=0", "--set", "class_weights=balanced", "--set", "epochs=2",
         "--set", "sort_by_length=true", "--set", "weight_average=0.9"]  # fmt: skip


def started(arguments, size: int = 2, program=("-m", "scriptchain")) -> list[subprocess.Popen]:
    """As a launcher would start them, each by itself."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return [
        subprocess.Popen(
            [sys.executable, *program, *map(str, arguments)],
            env=os.environ | {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(size),
                              "LOCAL_WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
                              "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for rank in range(size)
    ]  # fmt: skip


def ended(started: list[subprocess.Popen]) -> list[tuple[int, str, str]]:
    """The exit code and what was said, of each."""
    told = [process.communicate(timeout=300) for process in started]
    return [(process.returncode, *one) for process, one in zip(started, told, strict=True)]


def weights(folder: Path) -> dict[str, np.ndarray]:
    return load_file(folder / "model.safetensors")


def stepped(work: Path) -> bool:
    """Whether a checkpoint behind the first step is whole; what is being written has another name."""
    return any(int(path.name[:9]) > 0 for path in work.glob("checkpoints-seed-0/[0-9]*.safetensors"))


def wait_for(what, process: subprocess.Popen) -> None:
    end = time.monotonic() + 120
    while not what():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


@pytest.mark.parametrize(("key", "half"), [("batch_size", 11), ("batch_tokens", 90)])
def test_two_processes_learn_what_one_with_twice_the_batch_does(tmp_path, key, half):
    """80 rows in batches of 2 x 11: the last one is shorter, and class weights make the halves count differently."""
    one, two = tmp_path / "one", tmp_path / "two"
    settings = [*ALIKE, "--set", "dropout=0", "--threads", "1"]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    halves = ["scriptchain", "train", "emotions", *settings, "--set", f"{key}={half}", "--output", str(two)]
    done = subprocess.run([*torchrun, *halves], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("rows to train on") == done.stdout.count("test rows, scored once") == 1  # the first speaks
    assert run(["train", "emotions", *settings, "--set", f"{key}={2 * half}", "--quiet", "--output", str(one)]) == 0
    there = weights(two)
    for name, tensor in weights(one).items():
        np.testing.assert_allclose(there[name], tensor, atol=1e-4, err_msg=name)
    assert not (tmp_path / "two-partial").exists()


SCRIPT = """
import sys
from scriptchain import Classifier
from scriptchain.data.records import read
rows = read("emotions")
model = Classifier("seed", epochs=1, dropout=0.0, batch_size=int(sys.argv[2]), device="cpu", threads=1)
model.fit(rows.texts, rows.labels)
print(model.history_[-1]["step"], round(float(model.logits(rows.texts).sum(0)[0]), 3))
"""


def test_a_script_that_calls_fit_is_several_processes_too(tmp_path):
    """100 rows: seven steps of 2 x 8, as of 16; every process ends with the whole model."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    told = [out for _, out, _ in ended(started(["-", 8], program=(str(script),)))]
    alone = subprocess.run([sys.executable, script, "-", "16"], capture_output=True, text=True, check=True)
    assert told[0] == told[1]
    assert told[0].split()[0] == alone.stdout.split()[0] == "7"
    assert float(told[0].split()[1]) == pytest.approx(float(alone.stdout.split()[1]), abs=0.05)


def test_what_was_stopped_goes_on_as_if_it_had_not_been(tmp_path):
    """Dropout differs by process, and all of it follows from the seed and the step.

    The run is long: on a busy machine seconds pass between the first checkpoint and the signal.
    """
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    settings = ["train", "emotions", "--preset", "seed", "--set", "epochs=24", "--set", "batch_size=4",
                "--checkpoint-every", "0.2", "--quiet", "--output"]  # fmt: skip
    assert [code for code, *_ in ended(started([*settings, whole]))] == [0, 0]
    both = started([*settings, broken])
    work = tmp_path / "broken-partial"
    wait_for(lambda: stepped(work), both[0])
    both[1].send_signal(signal.SIGINT)  # the second is told, and both stop
    (first, _, said), (second, *_) = ended(both)
    assert (first, second) == (143, 130), said
    assert said.startswith("error: training was stopped by SIGTERM behind step ")
    (code, report, _), (follower, silence, _) = ended(started([*settings, broken, "--resume"]))
    assert (code, follower, silence) == (0, 0, "")
    assert "test rows, scored once" in report
    assert (broken / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


def test_a_process_of_several_is_not_aborted_while_its_interpreter_is_taken_down(monkeypatch, capsys):
    class Left(BaseException):
        pass

    def leave(code: int) -> None:
        raise Left(code)

    monkeypatch.setattr(sys, "argv", ["scriptchain", "presets", "show", "none"])
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.setattr(os, "_exit", leave)
    with pytest.raises(SystemExit) as alone:
        main()
    monkeypatch.setattr(distributed, "is_initialized", lambda: True)
    with pytest.raises(Left) as joined_one:
        main()
    assert (alone.value.code, joined_one.value.args) == (2, (2,))
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_the_loss_of_a_process_is_said_in_one_line_and_nothing_is_lost(tmp_path):
    settings = ["train", "emotions", "--preset", "seed", "--set", "epochs=2000", "--checkpoint-every", "0.2", "--quiet",
                "--output", tmp_path / "run"]  # fmt: skip
    both = started(settings)
    wait_for(lambda: stepped(tmp_path / "run-partial"), both[0])
    both[1].kill()
    code, _, said = ended(both)[0]
    line = "error: all 2 processes must stay, and one of them is gone; hint: the same command with --resume goes on"
    assert (code, said.strip().splitlines()[-1]) == (5, line)
    assert stepped(tmp_path / "run-partial")


def test_who_waits_for_a_process_that_is_gone_is_told(monkeypatch):
    def all_reduce(_):
        raise RuntimeError("Connection closed by peer [127.0.0.1]:4242")

    monkeypatch.setattr(distributed, "all_reduce", all_reduce)
    with pytest.raises(ResourceError, match=r"^all 2 processes must stay, and one of them is gone; hint: "):
        World(0, 2).wait()


def test_a_part_of_a_launchers_words_makes_no_others(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "8")  # as a cluster sets it for whoever asks
    assert joined() is ALONE


@pytest.mark.parametrize(("rows", "size"), [(7, 2), (7, 3), (1, 2), (2, 5)])
def test_every_row_of_a_batch_is_of_one_process(rows, size):
    rng = np.random.default_rng(0)
    ids = [rng.integers(5, 99, rng.integers(1, 9)) for _ in range(rows)]
    batch = Batch(*pad(ids), np.arange(rows) + 40)
    parts = [World(rank, size).mine(batch) for rank in range(size)]
    seen = {int(row): part.ids[at][part.mask[at]] for part in parts if part for at, row in enumerate(part.rows)}
    assert sorted(seen) == batch.rows.tolist()
    assert sum(len(part.rows) for part in parts if part) == rows
    for at, row in enumerate(batch.rows):
        np.testing.assert_array_equal(seen[row], ids[at])
    for part in parts:
        assert part is None or part.mask.any(0).all()  # as wide as its longest row


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["compare", "emotions"], "only train and distill may be several processes, got 2 of 'compare'"),
        (["train", "emotions", "--preset", "auto"], "--preset auto must be one process, got 2"),
    ],
)
def test_what_one_process_is_enough_for_is_refused(arguments, line, tmp_path, capsys, monkeypatch):
    for name, value in (("WORLD_SIZE", "2"), ("RANK", "0"), ("MASTER_ADDR", "127.0.0.1")):
        monkeypatch.setenv(name, value)
    assert refusal(tmp_path, capsys, *arguments) == (2, f"{line}; hint: without torchrun")
