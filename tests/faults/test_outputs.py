"""B1 to B8: answers for millions of rows, whatever breaks: none lost, none doubled, none that runs in a spreadsheet."""

import csv
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

import numpy as np
import pandas
import pytest

from scriptchain import durable
from scriptchain.__main__ import run
from scriptchain.cli import predict as module
from scriptchain.data.tokenizer import SPECIAL
from scriptchain.runtime import bulk, lines, unfinished
from scriptchain.runtime.session import Session

ROWS = 60


def sentences(count: int = ROWS) -> list[str]:
    rng = random.Random(0)
    words = [
        "the",
        "food",
        "was",
        "not",
        "good",
        "and",
        "the",
        "wine",
        "was",
        "fine",
        "today",
        "again",
        "with,",
        '"quotes"',
        "or",
        "größer",
        "猫",
        "🙂",
    ]
    return [" ".join(rng.choices(words, k=rng.randint(1, 12))) + f" {number}" for number in range(count)]


@pytest.fixture
def source(tmp_path) -> Path:
    path = tmp_path / "rows.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("id", "text"), *((f"no-{n}", text) for n, text in enumerate(sentences()))])
    return path


@pytest.fixture
def predict(tiny_run, capsys, monkeypatch):
    """Runs predict in this process, 7 rows a chunk; returns the exit code and stderr."""
    monkeypatch.setattr(bulk, "CHUNK", 7)

    def call(*arguments: object) -> tuple[int, str]:
        code = run(["predict", str(tiny_run), *map(str, arguments)])
        return code, capsys.readouterr().err

    return call


@pytest.mark.parametrize("name", ["out.csv", "out.jsonl"])
@pytest.mark.parametrize("options", [(), ("--all", "--id-column", "id")], ids=str)
@pytest.mark.parametrize("chunk", range(9))
def test_b1_b2_broken_at_any_chunk_it_goes_on_to_the_same_bytes(chunk, options, name, source, predict, monkeypatch):
    output, whole = source.with_name(name), source.with_name(f"whole-{name}")
    assert predict("--file", source, "--output", whole, *options) == (0, "")
    real, calls = durable.write, []

    def full(path: Path, content: bytes) -> None:
        calls.append(path)
        if len(calls) > chunk:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(path, content)

    monkeypatch.setattr(durable, "write", full)
    code, err = predict("--file", source, "--output", output, *options)
    assert code == 5
    more = (f"; {chunk} chunks are kept in {output}-partial" if chunk else "") + (
        "; hint: make room, then the same command with --resume" if chunk else ""
    )
    assert err == f"error: {output} cannot be written (No space left on device){more}\n"
    assert not output.exists()
    assert Path(f"{output}-partial").exists() == bool(chunk)
    monkeypatch.undo()
    monkeypatch.setattr(bulk, "CHUNK", 7)
    assert predict("--file", source, "--output", output, "--resume", *options) == (0, "")
    assert output.read_bytes() == whole.read_bytes()
    assert not Path(f"{output}-partial").exists()


def test_b1_what_was_written_and_never_counted_is_cut_off(source, predict, monkeypatch):
    output, whole = source.with_name("out.csv"), source.with_name("whole.csv")
    predict("--file", source, "--output", whole)
    broken(source, output, predict, monkeypatch, chunks=3)
    with (source.parent / "out.csv-partial" / "rows").open("ab") as file:
        file.write(b"half a li")
    assert predict("--file", source, "--output", output, "--resume") == (0, "")
    assert output.read_bytes() == whole.read_bytes()


def broken(source: Path, output: Path, predict, monkeypatch, chunks: int) -> None:
    """Leaves an unfinished output of so many chunks."""
    real, calls = unfinished.Unfinished.append, []

    def append(self, *chunk: object) -> None:
        calls.append(1)
        if len(calls) > chunks:
            raise KeyboardInterrupt
        real(self, *chunk)

    with monkeypatch.context() as patch:
        patch.setattr(unfinished.Unfinished, "append", append)
        assert predict("--file", source, "--output", output)[0] == 130


def test_b1_an_unfinished_output_is_never_thrown_away_unasked(source, predict, monkeypatch):
    output, place = source.with_name("out.csv"), f"{source.parent}/out.csv-partial"
    broken(source, output, predict, monkeypatch, chunks=3)
    before = Path(place, "rows").read_bytes()
    assert predict("--file", source, "--output", output) == (
        2,
        f"error: {place} must be free, got an unfinished output; "
        "hint: --resume goes on with it, --force starts from the beginning\n",
    )
    assert Path(place, "rows").read_bytes() == before
    assert predict("--file", source, "--output", output, "--all", "--resume") == (
        4,
        f"error: {place} must go on with the --all that it began with, got True for False; "
        "hint: --force starts from the beginning\n",
    )
    source.write_text(source.read_text("utf-8").replace("no-3,", "no-3,other "), "utf-8")
    assert predict("--file", source, "--output", output, "--resume") == (
        3,
        f"error: {place} must go on with the texts that it began with, got others; "
        "hint: --force starts from the beginning\n",
    )
    assert Path(place, "rows").read_bytes() == before
    assert predict("--file", source, "--output", output, "--force") == (0, "")
    assert len(output.read_text("utf-8").splitlines()) == ROWS + 1


def test_b1_rows_that_vanished_are_not_taken_for_written(source, predict, monkeypatch):
    output, place = source.with_name("out.csv"), f"{source.parent}/out.csv-partial"
    broken(source, output, predict, monkeypatch, chunks=3)
    size = Path(place, "rows").stat().st_size
    os.truncate(f"{place}/rows", size - 1)
    assert predict("--file", source, "--output", output, "--resume") == (
        4, f"error: {place}/rows must hold {size:,} bytes, got less; hint: --force\n"
    )  # fmt: skip
    Path(place, "state.json").write_text('{"chunks": "many"}')
    code, err = predict("--file", source, "--output", output, "--resume")
    assert code == 4
    assert err.startswith(f"error: {place}/state.json must say how far the output is (")


def test_b1_one_process_at_a_time(source, predict):
    output = source.with_name("out.csv")
    with unfinished.Unfinished(output, {}, resume=False, force=False):
        assert predict("--file", source, "--output", output) == (
            5,
            f"error: {output}-partial must be free, got a folder in use by process {os.getpid()}; "
            "hint: wait for it, or choose another name\n",
        )


def killed(tiny_run: Path, source: Path, output: Path, kills: int, seed: int) -> int:
    """Kills a bulk run at random times, then lets it end; how many kills struck."""
    code = (
        "import sys; from scriptchain.runtime import bulk; bulk.CHUNK = 7; "
        "from scriptchain.__main__ import run; sys.exit(run(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, "predict", tiny_run, "--file", source, "--output", output, "--resume"]
    rng, struck = random.Random(seed), 0
    for _ in range(kills):
        process = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"})
        place = Path(f"{output}-partial")
        while process.poll() is None and not place.exists():
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.25))
        process.kill()
        struck += process.wait() == -signal.SIGKILL
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return struck


def many(folder: Path, count: int) -> Path:
    path = folder / "bulk.txt"
    path.write_text("".join(f"{text}\n" for text in sentences(count)), "utf-8")
    return path


def test_b1_killed_at_random_times_no_row_is_lost_or_doubled(tiny_run, tmp_path):
    path = many(tmp_path, 2_000)
    assert run(["predict", str(tiny_run), "--file", str(path), "--output", str(tmp_path / "whole.jsonl")]) == 0
    assert killed(tiny_run, path, tmp_path / "out.jsonl", 3, seed=0) >= 1
    texts = [json.loads(line)["text"] for line in (tmp_path / "out.jsonl").read_text("utf-8").splitlines()]
    assert texts == sentences(2_000)


@pytest.mark.prove
def test_b1_fifty_kills(tiny_run, tmp_path):
    path, struck, runs = many(tmp_path, 20_000), 0, 0
    assert killed(tiny_run, path, tmp_path / "whole.jsonl", 0, seed=0) == 0
    while struck < 50:
        output = tmp_path / f"out-{runs}.jsonl"
        struck += killed(tiny_run, path, output, 10, seed=runs)
        assert output.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
        runs += 1
    sys.stderr.write(f"\n{struck} kills in {runs} bulk runs of 20,000 rows: the same bytes each time\n")


def test_an_answer_that_is_not_sure_enough_has_no_label(predict, tmp_path):
    rows = tmp_path / "rows.txt"
    rows.write_text("".join(f"{text}\n" for text in sentences(40)), "utf-8")

    def answers(name: str, *more: str) -> list[dict]:
        assert predict("--file", rows, "--output", tmp_path / name, *more) == (0, "")
        if name.endswith("csv"):
            with (tmp_path / name).open(newline="", encoding="utf-8") as file:
                return list(csv.DictReader(file))
        return [json.loads(line) for line in (tmp_path / name).read_text("utf-8").splitlines()]

    whole = answers("whole.jsonl")
    bound = sorted(row["score"] for row in whole)[20]
    for name, none in (("some.jsonl", None), ("some.csv", "")):
        some = answers(name, "--abstain-below", str(bound))
        for row, before in zip(some, whole, strict=True):
            assert row["label"] == (before["label"] if before["score"] >= bound else none)
            assert (row["text"], float(row["score"])) == (before["text"], before["score"])
        assert 0 < sum(row["label"] == none for row in some) < 40
    code, said = predict("--file", rows, "--output", tmp_path / "odd.jsonl", "--abstain-below", "1.5")
    assert code == 2
    assert "--abstain-below" in said


def test_sets_of_labels_are_those_with_enough_score(predict, tmp_path):
    rows = tmp_path / "rows.txt"
    rows.write_text("".join(f"{text}\n" for text in [*sentences(20), "tw\0o"]), "utf-8")

    def answers(name: str, *more: str) -> list[dict]:
        options = ("--on-bad-row", "skip", "--all", *more)
        assert predict("--file", rows, "--output", tmp_path / name, *options)[0] == 0
        if name.endswith("csv"):
            with (tmp_path / name).open(newline="", encoding="utf-8") as file:
                return list(csv.DictReader(file))
        return [json.loads(line) for line in (tmp_path / name).read_text("utf-8").splitlines()]

    for least in (0.0, 0.45, 1.0):
        for name in (f"{least}.jsonl", f"{least}.csv"):
            *good, bad = answers(name, "--labels-above", str(least))
            for row in good:
                scores = row.get("scores") or {label: float(row[label]) for label in ("bad", "good")}
                wanted = sorted((label for label in scores if scores[label] >= least), key=lambda one: -scores[one])
                assert row["labels"] == ("; ".join(wanted) if name.endswith("csv") else wanted)
            assert bad["error"]
            assert not bad.get("labels")
    assert "labels" not in answers("none.jsonl")[0]


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"])
def test_b3_a_text_that_is_a_formula_does_not_run(sign, predict, tmp_path):
    rows = tmp_path / "rows.jsonl"
    text = f"{sign}1+cmd|' /C calc'!A0"
    rows.write_text(json.dumps({"id": text, "text": text}) + "\n")
    for option, shown in (((), f"'{text}"), (("--raw",), text)):
        output = tmp_path / f"out{len(option)}.csv"
        assert predict("--file", rows, "--id-column", "id", "--output", output, *option) == (0, "")
        with output.open(newline="", encoding="utf-8") as file:
            (row,) = csv.DictReader(file)
        assert (row["id"], row["text"]) == (shown, shown)
        assert 0.5 <= float(row["score"]) <= 1


def test_b3_a_label_that_is_a_formula_does_not_run_and_scores_are_never_touched():
    answer = lines.Answer(lines.Given("x:1", "fine"), "=A1", [1e-9, 0.5])
    scored = lines.csv_lines([answer], lines.Asked(all_scores=True), ["=A1", "-b"], first=True)
    assert scored.splitlines() == ["text,label,score,'=A1,'-b,error", "fine,'=A1,0.500000,0.000000,0.500000,"]


def test_b3_a_nul_never_reaches_an_output(predict, tmp_path):
    rows = tmp_path / "rows.txt"
    rows.write_bytes(b"one\ntw\0o\nthree\n")
    assert predict("--file", rows, "--output", tmp_path / "out.csv", "--on-bad-row", "skip")[0] == 0
    assert b"\0" not in (tmp_path / "out.csv").read_bytes()


def test_b4_every_text_comes_back_from_csv_and_pandas(predict, tmp_path):
    texts = ['a "quoted", text', "two\nlines", "carriage\rreturn", "cr\r\nlf", " spaces ", "tab\tinside", "semi;colon",
             "'", '"', ",", "größer 猫 🙂", "NA", "1.0", "one\u2028two\x85three", "None"]  # fmt: skip
    rows, output = tmp_path / "rows.jsonl", tmp_path / "out.csv"
    rows.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    assert predict("--file", rows, "--output", output) == (0, "")
    with output.open(newline="", encoding="utf-8") as file:
        assert [row["text"] for row in csv.DictReader(file)] == texts
    assert pandas.read_csv(output, keep_default_na=False)["text"].tolist() == texts


@pytest.mark.parametrize("name", ["out.csv", "out.jsonl"])
def test_b5_b7_a_poison_row_keeps_its_place_and_spoils_no_other(name, predict, tmp_path):
    texts = sentences(20)
    poison = {3: "", 9: "   ", 15: "x" * (10 * 2**20 + 1)}
    rows = tmp_path / "rows.csv"
    with rows.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(("id", "text"))
        table.writerows((n, poison.get(n, text)) for n, text in enumerate(texts) if n != 15)
    clean = tmp_path / "clean.csv"
    with clean.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("id", "text"), *((n, text) for n, text in enumerate(texts) if n not in poison)])
    assert predict("--file", clean, "--id-column", "id", "--output", tmp_path / f"clean-{name}") == (0, "")
    first = f"2 rows got no answer, the first: {rows}:5: text must not be empty"
    code, err = predict("--file", rows, "--id-column", "id", "--output", tmp_path / name)
    assert (code, err) == (3, f"error: {first}; hint: correct them, or say --on-bad-row skip\n")
    code, err = predict(
        "--file", rows, "--id-column", "id", "--output", tmp_path / f"skip-{name}", "--on-bad-row", "skip"
    )
    assert (code, err) == (0, f"{first}\n")
    assert (tmp_path / name).read_bytes() == (tmp_path / f"skip-{name}").read_bytes()
    found, wanted = (answers(tmp_path / one) for one in (name, f"clean-{name}"))
    assert [n for n, row in enumerate(found) if row.get("error")] == [3, 9]
    assert found[3]["error"] == f"{rows}:5: text must not be empty"
    good = [row for row in found if not row.get("error")]
    assert [{key: row[key] for key in ("id", "text", "label")} for row in good] == [
        {key: row[key] for key in ("id", "text", "label")} for row in wanted
    ]
    assert [float(row["score"]) for row in good] == pytest.approx([float(row["score"]) for row in wanted], abs=2e-6)


def answers(path: Path) -> list[dict]:
    if path.suffix == ".csv":
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_b7_a_text_of_ten_megabytes_is_one_row(predict, tmp_path):
    rows = tmp_path / "rows.txt"
    rows.write_text(f"good\n{'good ' * 2_000_000}\nnot good\n")
    assert predict("--file", rows, "--output", tmp_path / "out.jsonl") == (0, "")
    assert len(answers(tmp_path / "out.jsonl")) == 3


def test_b6_a_pipe_that_closes_is_quiet(tiny_run, tmp_path):
    done = subprocess.run(
        ["bash", "-c", 'set -o pipefail; "$0" -m scriptchain predict "$1" --file "$2" | head -1', sys.executable,
         tiny_run, many(tmp_path, 5_000)],
        capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 1


def test_b8_the_company_of_a_text_does_not_change_its_answer(tiny_run):
    session, texts = Session(tiny_run, threads=1), sentences(64)
    assert len(SPECIAL) == 4
    alone = np.concatenate([session.probabilities([text]) for text in texts])
    for size in (7, 64):
        together = np.concatenate([session.probabilities(texts[at : at + size]) for at in range(0, 64, size)])
        assert (together.argmax(1) == alone.argmax(1)).all()
        assert np.abs(together - alone).max() < 1e-6


def test_an_empty_input_is_no_output(predict, tmp_path):
    rows = tmp_path / "rows.csv"
    rows.write_text("text\n")
    assert predict("--file", rows, "--output", tmp_path / "out.csv") == (3, f"error: {rows} has no rows\n")
    assert [path.name for path in tmp_path.iterdir()] == ["rows.csv"]
    assert predict("--file", rows, "--resume") == (2, "error: --resume must come with --output, got it alone\n")


@pytest.mark.parametrize("watched", [True, False])
def test_the_rate_and_the_time_left_are_shown(watched, monkeypatch):
    class Stream(io.StringIO):
        def isatty(self) -> bool:
            return watched

    told, step = Stream(), 2 if watched else 61
    now = iter(range(0, 1_000, step))
    monkeypatch.setattr(module.time, "monotonic", lambda: next(now))
    with monkeypatch.context() as patch:
        patch.setattr(module.sys, "stderr", told)
        standing = module._Standing(1_000)
        for chunk in range(1, 5):
            standing.tell(7 * step * chunk, 250 * chunk)
        standing.end()
    told_lines = [line.removesuffix("\x1b[K") for line in re.split(r"[\r\n]", told.getvalue()) if line]
    assert [line[: line.index("/s")] for line in told_lines] == [f"{7 * step * n:,} rows  7 rows" for n in range(1, 5)]
    assert [line.split("  ")[2].split(",")[0] for line in told_lines[1:]] == ["50%", "75%", "100%"]
    assert [line.split(",")[-1] for line in told_lines[1:]] == (
        [" about 8 s left", " about 3 s left", " about 0.0 s left"]
        if watched else [" about 4 min left", " about 2 min left", " about 0.0 s left"]
    )  # fmt: skip
