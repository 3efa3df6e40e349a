"""Laws of bulk scoring: a folder file by file, several processes or a cluster, and the same bytes whatever breaks."""

import gzip
import json
import math
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from scriptchain.__main__ import run
from scriptchain.cli import predict as command
from scriptchain.runtime import answered, bulk, engines, load
from scriptchain.runtime.lines import Asked, Given, Scorer
from scriptchain.runtime.session import Session

from ..processes import left_behind

WORDS = ["the", "food", "was", "not", "good", "and", "wine", "fine", "today", "größer", "猫"]


def sentences(count: int, seed: int = 0) -> list[str]:
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=rng.randint(1, 12))) + f" {number}" for number in range(count)]


@pytest.fixture
def predict(tiny_run, capsys, monkeypatch):
    """Runs predict in this process, 7 rows a chunk; returns the exit code and stderr."""
    monkeypatch.setattr(bulk, "CHUNK", 7)
    monkeypatch.setattr(command, "SILENT", math.inf)  # a slow machine says no more than a fast one

    def call(*arguments: object) -> tuple[int, str]:
        code = run(["predict", str(tiny_run), *map(str, arguments)])
        out, err = capsys.readouterr()
        assert out == ""
        return code, err

    return call


@pytest.fixture
def source(tmp_path) -> Path:
    """A folder with every kind of file, one of them deeper, one without rows, and what is none of ours."""
    place = tmp_path / "in"
    (place / "deep").mkdir(parents=True)
    (place / "a.csv").write_text(
        "id,text\n" + "".join(f"{n},{text}\n" for n, text in enumerate(sentences(30))), "utf-8"
    )
    (place / "b.tsv").write_text("text\tid\nthe wine\t1\n", "utf-8")
    (place / "c.jsonl").write_text("".join(json.dumps({"text": text, "id": "x"}) + "\n" for text in sentences(9, 1)))
    (place / "d.txt.gz").write_bytes(gzip.compress("".join(f"{text}\n" for text in sentences(15, 2)).encode()))
    table = pyarrow.table({"text": sentences(20, 3), "id": [str(n) for n in range(20)]})
    pyarrow.parquet.write_table(table, place / "deep" / "e.parquet")
    (place / "none.csv").write_text("id,text\n")
    (place / "README.md").write_text("not ours")
    (place / "_SUCCESS.csv").write_text("not ours")
    return place


OUTPUTS = {"a.csv": 30, "b.csv": 1, "c.jsonl": 9, "d.jsonl": 15, "deep/e.parquet": 20, "none.csv": 0}


def contents(place: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(place)): path.read_bytes()
        for path in sorted(place.rglob("*"))
        if path.is_file() and path.name != answered.KEPT
    }


# --- folders -------------------------------------------------------------------------------------------------


def test_each_file_of_a_folder_is_answered_as_it_is_alone(source, predict, tmp_path):
    assert predict("--file", source, "--output", tmp_path / "out", "--all") == (0, "")
    found = contents(tmp_path / "out")
    assert list(found) == list(OUTPUTS)
    inputs = {"a.csv": "a.csv", "b.csv": "b.tsv", "c.jsonl": "c.jsonl", "d.jsonl": "d.txt.gz",
              "deep/e.parquet": "deep/e.parquet"}  # fmt: skip
    for name, path in inputs.items():
        alone = tmp_path / f"alone{Path(name).suffix}"
        assert predict("--file", source / path, "--output", alone, "--all", "--force") == (0, "")
        assert found[name] == alone.read_bytes()
    assert found["none.csv"] == b"text,label,score,bad,good,error\n"
    kept = json.loads((tmp_path / "out" / answered.KEPT).read_bytes())
    assert kept["finished"]
    assert {name: count["rows"] for name, (_, count) in kept["files"].items()} == OUTPUTS


def test_a_parquet_file_of_answers_holds_what_the_lines_say(source, predict, tmp_path):
    options = ("--file", source / "deep" / "e.parquet", "--all", "--labels-above", "0.4", "--id-column", "id")
    for name in ("out.jsonl", "out.parquet"):
        assert predict(*options, "--output", tmp_path / name) == (0, "")
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text("utf-8").splitlines()]
    table = pyarrow.parquet.read_table(tmp_path / "out.parquet")
    assert table.column_names == ["id", "text", "label", "score", "labels", "scores", "error"]
    assert table.to_pylist() == [line | {"error": None} for line in lines]


def test_half_a_character_does_not_stop_a_parquet_file(predict, tmp_path):
    assert predict("good \udcff", "bad", "--output", tmp_path / "out.parquet") == (0, "")
    assert pyarrow.parquet.read_table(tmp_path / "out.parquet")["text"].to_pylist() == ["good \ufffd", "bad"]


def test_one_file_may_go_into_a_folder_too(source, predict, tmp_path):
    for output in (f"{tmp_path}/new/", f"{tmp_path}/old"):
        (tmp_path / "old").mkdir(exist_ok=True)
        (tmp_path / "old" / "other").write_text("precious")
        assert predict("--file", source / "c.jsonl", "--output", output) == (0, "")
    assert (tmp_path / "new" / "c.jsonl").read_bytes() == (tmp_path / "old" / "c.jsonl").read_bytes()
    assert (tmp_path / "old" / "other").read_text() == "precious"


def test_files_that_came_later_are_answered_by_a_resume_and_no_other(source, predict, tmp_path, monkeypatch):
    output = tmp_path / "out"
    assert predict("--file", source, "--output", output) == (0, "")
    before = {path: path.stat().st_mtime_ns for path in output.rglob("*.*") if path.name != answered.KEPT}
    (source / "new.txt").write_text("the food was good\n")
    code, err = predict("--file", source, "--output", output)
    assert (code, err) == (
        2, f"error: --output must not hold {output}/a.csv yet, got it; hint: --force replaces it\n"
    )  # fmt: skip
    code, err = predict("--file", source, "--output", output, "--resume")
    assert err == ""
    assert len((output / "new.jsonl").read_text().splitlines()) == 1
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert predict("--file", source, "--output", output, "--all", "--resume") == (
        4,
        f"error: {output} must go on with the --all that it began with, got True for False; "
        "hint: --force starts from the beginning\n",
    )
    (source / "c.jsonl").write_text('{"text": "changed"}\n')
    assert predict("--file", source, "--output", output, "--resume") == (
        3,
        f"error: {output} must go on with {source}/c.jsonl as it was, got 20 bytes for "
        f"{json.loads((output / answered.KEPT).read_bytes())['files']['c.jsonl'][0]}; "
        "hint: --force answers everything again\n",
    )
    assert predict("--file", source, "--output", output, "--force") == (0, "")
    assert len((output / "c.jsonl").read_text().splitlines()) == 1


def test_a_file_that_is_answered_alone_does_not_make_the_others_forgotten(source, predict, tmp_path):
    output = tmp_path / "out"
    assert predict("--file", source, "--output", output) == (0, "")
    (output / "a.csv").write_text("corrected by hand")
    (tmp_path / "one.txt").write_text("the food\n")
    assert predict("--file", tmp_path / "one.txt", "--output", output) == (0, "")
    assert predict("--file", source, "--output", output, "--resume") == (0, "")
    assert (output / "a.csv").read_text() == "corrected by hand"
    assert sorted(json.loads((output / answered.KEPT).read_bytes())["files"]) == sorted([*OUTPUTS, "one.jsonl"])


def test_a_folder_that_broke_anywhere_goes_on_to_the_same_bytes(source, predict, tmp_path, monkeypatch):
    (source / "b.tsv").write_text('text\n"never closed\nand more\n')
    output, whole = tmp_path / "out", tmp_path / "whole"
    code, err = predict("--file", source, "--output", output)
    assert (code, err.split(";")[0].split(": a double")[0]) == (3, f"error: {source}/b.tsv:2")
    assert list(contents(output)) == ["a.csv"]  # what was read before the fault has its name
    (source / "b.tsv").write_text("text\tid\nthe wine\t1\n")
    assert predict("--file", source, "--output", output) == (
        2,
        f"error: {output} must be free, got an unfinished output; "
        "hint: --resume goes on with it, --force starts from the beginning\n",
    )
    real, calls = bulk.Unfinished.append, []

    def append(self, *chunk: object) -> None:
        calls.append(1)
        if len(calls) > 2:
            raise KeyboardInterrupt
        real(self, *chunk)

    for _ in range(5):
        calls.clear()
        with monkeypatch.context() as patch:
            patch.setattr(bulk.Unfinished, "append", append)
            assert predict("--file", source, "--output", output, "--resume")[0] in (0, 130)
    assert predict("--file", source, "--output", output, "--resume") == (0, "")
    assert predict("--file", source, "--output", whole) == (0, "")
    assert contents(output) == contents(whole)


def test_a_note_that_was_lost_costs_no_row(source, predict, tmp_path):
    """The machine stopped between a file's name and the note that it is whole."""
    output = tmp_path / "out"
    assert predict("--file", source, "--output", output) == (0, "")
    whole, note = contents(output), output / answered.KEPT
    kept = json.loads(note.read_bytes())
    kept["finished"] = False
    del kept["files"]["a.csv"]
    note.write_text(json.dumps(kept))
    assert predict("--file", source, "--output", output, "--resume") == (0, "")
    assert contents(output) == whole
    note.write_text('{"job": 3}')
    code, err = predict("--file", source, "--output", output, "--resume")
    assert (code, err.split("(")[0]) == (4, f"error: {note} must say what its folder holds ")


def test_a_folder_where_nothing_was_done_leaves_nothing(source, predict, tmp_path):
    (source / "a.csv").write_text("words\nx\n")
    assert predict("--file", source, "--output", tmp_path / "out")[0] == 3
    assert not (tmp_path / "out").exists()


def test_bad_rows_of_all_files_are_counted_also_of_those_before_a_break(source, predict, tmp_path):
    (source / "a.csv").write_text("id,text\n1,\n" + "2,good\n" * 20, "utf-8")  # three chunks
    (source / "c.jsonl").write_text('{"text": 3}\n')
    output, first = tmp_path / "out", f"{source}/a.csv:2: text must not be empty"
    told = f"2 rows got no answer, the first: {first}"
    ending = "; hint: correct them, or say --on-bad-row skip\n"
    assert predict("--file", source, "--output", output) == (3, f"error: {told}{ending}")
    assert predict("--file", source, "--output", output, "--resume") == (3, f"error: {told}{ending}")
    assert predict("--file", source, "--output", output, "--resume", "--on-bad-row", "skip") == (0, told + "\n")
    assert pyarrow.parquet.read_table(output / "deep" / "e.parquet").num_rows == 20


def test_what_cannot_be_a_bulk_job_is_one_line(source, predict, tmp_path):
    output = tmp_path / "out"
    (tmp_path / "empty").mkdir()
    (source / "twice.csv").write_text("text\na\n")
    (source / "twice.tsv").write_text("text\na\n")
    cases = [
        (("--file", tmp_path / "gone.csv", "--output", f"{output}/"), 3,
         f"{tmp_path}/gone.csv does not exist; hint: check the path, or try the bundled set: emotions"),
        (("--file", source), 2, "a folder of files must come with --output DIR, got none"),
        (("--output", f"{output}/"), 2,
         f"--output must be a file where the texts come from no file, got the directory {str(output)!r}"),
        (("--file", source, "--output", source / "a.csv"), 2,
         f"--output must be a directory for a folder of files, got the file '{source}/a.csv'"),
        (("--file", source, "--output", source / "out"), 2,
         f"--output must lie outside of {source}, got {source}/out"),
        (("--file", source, "--output", output), 3,
         f"{source}/twice.csv and {source}/twice.tsv must not both become twice.csv; hint: rename one of them"),
        (("--file", tmp_path / "empty", "--output", output), 3,
         f"{tmp_path}/empty must hold files that end in .csv, .tsv, .jsonl, .ndjson, .json, .txt or .parquet, "
         "got none"),
    ]  # fmt: skip
    for arguments, code, message in cases:
        assert predict(*arguments) == (code, f"error: {message}\n")
    (tmp_path / "empty" / "none.csv").write_text("text\n")
    assert predict("--file", tmp_path / "empty", "--output", output) == (
        3, f"error: no file of {tmp_path}/empty has a row\n"
    )  # fmt: skip


def test_one_process_at_a_time_writes_a_folder(source, predict, tmp_path):
    output = tmp_path / "out"
    with answered.Answered(output, {}, resume=False, force=False):
        code, err = predict("--file", source, "--output", output)
    assert (code, err) == (
        5,
        f"error: {output} must be free, got a folder in use by process {os.getpid()}; "
        "hint: wait for it, or choose another name\n",
    )


def test_a_folder_that_cannot_be_written_is_named(source, predict, tmp_path, monkeypatch):
    def full(path: Path, content: bytes) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(answered.durable, "write", full)
    code, err = predict("--file", source, "--output", tmp_path / "out")
    assert (code, err) == (5, f"error: {tmp_path}/out cannot be written (No space left on device)\n")


# --- rows that break the model -------------------------------------------------------------------------------


def test_a_text_that_breaks_the_model_costs_no_other_its_answer(tiny_run, predict, tmp_path, monkeypatch):
    texts = sentences(20)
    path = tmp_path / "rows.txt"
    path.write_text("".join(f"{text}\n" for text in texts), "utf-8")
    assert predict("--file", path, "--output", tmp_path / "whole.jsonl") == (0, "")
    real = Session.logits

    def logits(self, batch):
        if texts[4] in batch:
            raise RuntimeError("the graph fails")
        found = real(self, batch)
        found[[text == texts[11] for text in batch]] = np.nan
        return found

    monkeypatch.setattr(Session, "logits", logits)
    code, err = predict("--file", path, "--output", tmp_path / "some.jsonl", "--on-bad-row", "skip")
    faults = [f"{path}:{row}: the model has no answer to this text" for row in (5, 12)]
    assert (code, err) == (0, f"2 rows got no answer, the first: {faults[0]}\n")
    whole, some = (
        [json.loads(line) for line in (tmp_path / name).read_text("utf-8").splitlines()]
        for name in ("whole.jsonl", "some.jsonl")
    )
    for row, (one, other) in enumerate(zip(whole, some, strict=True)):
        if row in (4, 11):
            assert other == {"error": faults[row == 11]}
        else:
            assert (one["text"], one["label"]) == (other["text"], other["label"])
            assert other["score"] == pytest.approx(one["score"], abs=2e-6)


# --- several processes ---------------------------------------------------------------------------------------


def test_several_processes_give_the_bytes_of_one(source, predict, tmp_path):
    options = ("--file", source, "--all", "--id-column", "id")
    (source / "d.txt.gz").unlink()  # it has no ids
    for count in (1, 3):
        assert predict(*options, "--output", tmp_path / f"out-{count}", "--processes", count) == (0, "")
    assert contents(tmp_path / "out-1") == contents(tmp_path / "out-3")


def test_an_engine_keeps_the_order_and_reads_no_further_than_it_needs():
    class Later:
        """An answer that is there when it is asked for; how many were asked for before it is kept."""

        def __init__(self, work):
            self.work = work

    begun, taken = [], []

    def works():
        for number in range(50):
            begun.append(number)
            yield engines.Work(number, [Given("x:1", str(number))] if number % 5 else ())
        raise ValueError("the file ends badly")

    def result(later):
        return engines.Lines(later.work.rows[0].text.encode(), 0, "")

    def taking():
        for work, lines in engines._in_order(Later, result, 3)(works()):
            assert lines.content == (str(work.ticket).encode() if work.ticket % 5 else b"")
            assert len(begun) <= len(taken) + 1 + 3 * engines.AHEAD
            taken.append(work.ticket)

    with pytest.raises(ValueError, match="the file ends badly"):
        taking()
    assert taken == list(range(50))  # all that was read before the fault


def children() -> list[int]:
    """The processes that answer for this one."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rsplit(")", 1)[1].split()[1])
            if parent == os.getpid() and b"spawn_main" in (path.parent / "cmdline").read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def test_a_process_that_is_killed_is_said_and_loses_nothing(predict, tmp_path, monkeypatch):
    monkeypatch.setattr(bulk, "CHUNK", 50)
    path = tmp_path / "rows.txt"
    path.write_text("".join(f"{text}\n" for text in sentences(20_000)), "utf-8")
    output, struck = tmp_path / "out.jsonl", []

    def kill() -> None:
        while not struck:
            rows = Path(f"{output}-partial", "rows")
            if rows.exists() and rows.stat().st_size and (mine := children()):
                os.kill(mine[0], signal.SIGKILL)
                struck.append(mine[0])
            time.sleep(0.01)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    code, err = predict("--file", path, "--output", output, "--processes", 2)
    killer.join(5)
    assert struck
    assert (code, err) == (
        5,
        "error: a process that answers was killed, perhaps for want of memory; "
        "hint: the same command with --resume, and fewer --processes\n",
    )
    assert predict("--file", path, "--output", output, "--resume") == (0, "")
    assert [json.loads(line)["text"] for line in output.read_text("utf-8").splitlines()] == sentences(20_000)


def test_no_process_outlives_a_parent_that_is_killed(tiny_run, tmp_path):
    path = tmp_path / "rows.txt"
    path.write_text("".join(f"{text}\n" for text in sentences(50_000)), "utf-8")
    output = tmp_path / "out.jsonl"
    command = [sys.executable, "-m", "scriptchain", "predict", tiny_run, "--file", path, "--output", output,
               "--processes", "2"]  # fmt: skip
    process = subprocess.Popen([*map(str, command)], start_new_session=True)
    rows = Path(f"{output}-partial", "rows")
    while process.poll() is None and not (rows.exists() and rows.stat().st_size):
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert left_behind(process.pid) == []


def test_large_files_get_a_process_a_core_and_small_ones_none(monkeypatch):
    asked = []
    monkeypatch.setattr(engines, "processes", asked.append)
    if sys.platform == "linux":
        monkeypatch.setattr(command.os, "sched_getaffinity", lambda _: range(4))
    else:
        monkeypatch.setattr(command.os, "cpu_count", lambda: 4)
    assert command._maker("here", None, 2 * command.MANY - 1) is engines.here
    assert command._maker("here", 1, 9 * command.MANY) is engines.here
    assert asked == []
    command._maker("here", None, 2 * command.MANY)
    command._maker("here", None, 9 * command.MANY)
    command._maker("here", 3, 10)
    assert asked == [2, 4, 3]


# --- a cluster -----------------------------------------------------------------------------------------------

RAY = """
import os, signal, sys, threading, time
from pathlib import Path
import ray
from scriptchain.__main__ import run
from scriptchain.runtime import bulk
bulk.CHUNK = 50
model, source, output, partial = sys.argv[1:]
init = ray.init
ray.init = lambda **options: init(num_cpus=2, **options)

def kill():
    while True:
        workers = [p for p in Path("/proc").glob("[0-9]*") if worker(p)]
        if Path(partial).exists() and Path(partial).stat().st_size and len(workers) >= 2:
            os.kill(int(workers[0].name), signal.SIGKILL)
            os.write(1, b"killed\\n")
            return
        time.sleep(0.01)

def worker(place):
    try:
        return (place / "cmdline").read_bytes().startswith(b"ray::Scorer")
    except OSError:
        return False

threading.Thread(target=kill, daemon=True).start()
sys.exit(run(["predict", model, "--file", source, "--output", output, "--engine", "ray", "--processes", "2"]))
"""


def test_a_ray_cluster_of_which_a_worker_is_killed_gives_the_same_bytes(tiny_run, tmp_path, predict, monkeypatch):
    path, whole = tmp_path / "rows.txt", tmp_path / "whole.jsonl"
    path.write_text("".join(f"{text}\n" for text in sentences(20_000)), "utf-8")
    monkeypatch.setattr(bulk, "CHUNK", 50)
    assert predict("--file", path, "--output", whole) == (0, "")
    output = tmp_path / "out.jsonl"
    done = subprocess.run(
        [sys.executable, "-c", RAY, tiny_run, path, output, f"{output}-partial/rows"],
        capture_output=True, text=True, timeout=300,
        env={**os.environ, "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "killed\n"), done.stderr
    assert output.read_bytes() == whole.read_bytes()


def test_a_cluster_that_fails_is_one_line(tiny_run, predict, tmp_path, monkeypatch):
    path = tmp_path / "rows.txt"
    path.write_text("the food\n")
    options = ("--file", path, "--output", tmp_path / "out.jsonl", "--engine", "ray")

    class RayError(Exception):
        pass

    ray, errors = ModuleType("ray"), ModuleType("ray.exceptions")
    ray.exceptions, errors.RayError = errors, RayError
    ray.shutdown = lambda: None
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setitem(sys.modules, "ray.exceptions", errors)

    def nobody(**_):
        raise ConnectionError("nobody answers at that address\nand more")

    def failing(**_):
        raise RayError("the actor died\nand more")

    ray.init = nobody
    assert predict(*options) == (
        5, "error: a Ray cluster must answer, got nobody answers at that address; "
        "hint: leave RAY_ADDRESS out for one on this machine\n"
    )  # fmt: skip
    ray.init, ray.cluster_resources = lambda **_: None, failing
    assert predict(*options) == (
        4, f"error: every Ray worker must load and run {tiny_run}, got the actor died; "
        "hint: put the model where all machines of the cluster see it\n"
    )  # fmt: skip
    assert not (tmp_path / "out.jsonl").exists()


# --- from Python ---------------------------------------------------------------------------------------------


def test_a_loaded_model_says_what_predict_says(tiny_run):
    model, texts = load(tiny_run, threads=1), sentences(8)
    (answers,) = [model(texts)]
    rows = Scorer(str(tiny_run), 1, Asked(all_scores=True))([Given("x:1", text) for text in texts], "json", True)
    for answer, line in zip(answers, rows.content.decode().splitlines(), strict=True):
        told = json.loads(line)
        assert answer["label"] == told["label"]
        assert answer["score"] == pytest.approx(told["score"], abs=1e-6)
        assert answer["scores"] == pytest.approx(told["scores"], abs=1e-6)
    alone = model(texts[0])
    assert (alone["label"], alone["score"]) == (answers[0]["label"], pytest.approx(answers[0]["score"], abs=1e-6))
