"""Laws of predict: every kind of input, the order kept, a file whole or not at all, and no text that crashes it."""

import csv
import gzip
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import scriptchain
from scriptchain.__main__ import run
from scriptchain.runtime import bulk

SOURCE = str(Path(scriptchain.__file__).parents[1])
TEXTS = ["the food was good", 'a "quoted", text', "größer 猫 🙂", "not good", "the wine, too"]


def lines_of(out: str) -> list[dict]:
    return [json.loads(line) for line in out.split("\n")[:-1]]  # not splitlines: a text may hold U+2028


@pytest.fixture
def predict(tiny_run, capsys, monkeypatch):
    """Runs predict in this process; returns the exit code, the lines of stdout, and stderr."""

    def call(*arguments: object, stdin: bytes | None = None):
        if stdin is not None:
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        code = run(["predict", str(tiny_run), *map(str, arguments)])
        out, err = capsys.readouterr()
        return code, lines_of(out), err

    return call


@pytest.fixture
def expected(predict):
    code, lines, err = predict(*TEXTS)
    assert (code, err) == (0, "")
    return lines


def as_csv(texts, delimiter=",") -> bytes:
    file = io.StringIO(newline="")
    csv.writer(file, delimiter=delimiter).writerows([("id", "text"), *enumerate(texts)])
    return file.getvalue().encode()


def as_jsonl(texts) -> bytes:
    return "".join(json.dumps({"n": 1, "text": text}) + "\n" for text in texts).encode()


def as_lines(texts) -> bytes:
    return "".join(text + "\n" for text in texts).encode()


FORMS = {
    "rows.csv": as_csv,
    "rows.tsv": lambda texts: as_csv(texts, "\t"),
    "rows.jsonl": as_jsonl,
    "rows.txt": as_lines,
}


# --- every input ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", FORMS)
def test_a_file_of_each_format_gives_what_the_arguments_give(name, packed, predict, expected, tmp_path):
    content = FORMS[name](TEXTS)
    path = tmp_path / (name + ".gz" * packed)
    path.write_bytes(gzip.compress(content) if packed else content)
    assert predict("--file", path) == (0, expected, "")


@pytest.mark.parametrize("name", FORMS)
def test_standard_input_of_each_format_gives_what_the_arguments_give(name, predict, expected):
    assert predict(stdin=FORMS[name](TEXTS)) == (0, expected, "")
    assert predict("--file", "-", stdin=FORMS[name](TEXTS)) == (0, expected, "")


@pytest.mark.parametrize("name", ["rows.csv", "-"])
def test_a_file_among_the_texts_is_a_text_with_a_note(name, predict, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("rows.csv").write_bytes(as_csv(TEXTS))
    code, lines, err = predict("the food was good", name, "rows.tsv")
    assert (code, [line["text"] for line in lines]) == (0, ["the food was good", name, "rows.tsv"])
    assert err == f"note: '{name}' is answered as a text; --file reads it\n"


def test_a_named_column_is_taken(predict, expected, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_bytes(as_csv(TEXTS).replace(b"text", b"words", 1))
    assert predict("--file", path, "--text-column", "words") == (0, expected, "")


def test_an_alias_of_the_text_column_is_taken(predict, expected, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_bytes(as_csv(TEXTS).replace(b"text", b"review", 1))
    assert predict("--file", path) == (0, expected, "")


def test_another_encoding_is_read_when_it_is_named(predict, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_bytes("text\ngrößer\n".encode("latin-1"))
    code, lines, err = predict("--file", path, "--encoding", "latin-1")
    assert (code, [line["text"] for line in lines], err) == (0, ["größer"], "")


# --- scores --------------------------------------------------------------------------------------------------


def test_all_gives_every_class(predict, expected):
    code, lines, err = predict("--all", *TEXTS)
    assert (code, err) == (0, "")
    for line, short in zip(lines, expected, strict=True):
        assert list(line) == ["text", "label", "score", "scores"]
        assert list(line["scores"]) == ["bad", "good"]
        assert sum(line["scores"].values()) == pytest.approx(1, abs=2e-6)
        assert line["scores"][line["label"]] == line["score"] == max(line["scores"].values())
        assert {key: line[key] for key in short} == short


# --- output files --------------------------------------------------------------------------------------------


def test_a_jsonl_file_holds_the_lines_and_stdout_nothing(predict, expected, tmp_path):
    path = tmp_path / "out.jsonl"
    assert predict("--output", path, *TEXTS) == (0, [], "")
    assert lines_of(path.read_text("utf-8")) == expected
    assert [file.name for file in tmp_path.iterdir()] == ["out.jsonl"]
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("options", [[], ["--all"]])
def test_a_csv_file_holds_the_same(options, predict, expected, tmp_path):
    path = tmp_path / "out.csv"
    assert predict("--output", path, *options, *TEXTS) == (0, [], "")
    with path.open(encoding="utf-8", newline="") as file:
        head, *rows = csv.reader(file)
    assert head == ["text", "label", "score", *(["bad", "good"] if options else []), "error"]
    assert [(text, label, float(score)) for text, label, score, *_ in rows] == [
        (line["text"], line["label"], line["score"]) for line in expected
    ]
    for _, label, score, *others, error in rows:
        assert error == ""
        assert not options or dict(zip(["bad", "good"], others, strict=True))[label] == score


def test_an_output_is_replaced_only_with_force(predict, expected, tmp_path):
    path = tmp_path / "out.jsonl"
    path.write_text("precious")
    code, lines, err = predict("--output", path, *TEXTS)
    assert (code, lines) == (2, [])
    assert err == f"error: --output must not exist yet, got {str(path)!r}; hint: --force replaces it\n"
    assert path.read_text() == "precious"
    assert predict("--output", path, "--force", *TEXTS) == (0, [], "")
    assert lines_of(path.read_text("utf-8")) == expected


@pytest.mark.parametrize("name", ["out.csv", "out.jsonl"])
@pytest.mark.parametrize("before", [None, "precious"])
def test_a_file_that_ends_too_early_takes_no_name(name, before, predict, tmp_path, monkeypatch):
    monkeypatch.setattr(bulk, "CHUNK", 2)
    source, output = tmp_path / "rows.csv.gz", tmp_path / name
    source.write_bytes(gzip.compress(b"text\none\ntwo\nthree\nfive\n")[:-6])
    if before is not None:
        output.write_text(before)
    code, lines, err = predict("--file", source, "--output", output, "--force")
    assert (code, lines) == (3, [])
    assert err == f"error: {source} must be a whole gzip file, got a bad one after line 5\n"
    left = {file.name for file in tmp_path.iterdir()} - {f"{name}-partial"}
    assert left == {source.name} | ({name} if before else set())
    assert before is None or output.read_text() == before


# --- order and size ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk", [1, 7, 64])
def test_the_order_is_kept_over_chunks(chunk, predict, tmp_path, monkeypatch):
    texts = [f"{'the food was good and ' * (number * 7 % 5)}number {number}" for number in range(60)]
    source = tmp_path / "rows.txt"
    source.write_bytes(as_lines(texts))
    code, whole, _ = predict("--file", source)
    assert code == 0
    assert [line["text"] for line in whole] == texts
    monkeypatch.setattr(bulk, "CHUNK", chunk)
    code, lines, err = predict("--file", source)
    assert (code, err) == (0, "")
    assert [(line["text"], line["label"]) for line in lines] == [(line["text"], line["label"]) for line in whole]
    assert [line["score"] for line in lines] == pytest.approx([line["score"] for line in whole], abs=2e-6)


def test_a_stream_is_answered_chunk_by_chunk_and_never_held_whole(tiny_run, capsys, monkeypatch):
    monkeypatch.setattr(bulk, "CHUNK", 3)
    asked = []

    def endless(*_, **__):
        from scriptchain.data.records import Row

        for number in range(10):
            asked.append(number)
            if number == 7:
                assert len(capsys.readouterr().out.splitlines()) == 6  # two chunks are out before the third is whole
            yield Row(number, f"text {number}", None)

    monkeypatch.setattr("scriptchain.data.records.rows", endless)
    assert run(["predict", str(tiny_run), "--file", "-"]) == 0
    assert asked == list(range(10))


# --- the process ---------------------------------------------------------------------------------------------


def test_a_reader_that_goes_away_is_no_error(tiny_run, tmp_path):
    source = tmp_path / "rows.txt"
    source.write_bytes(as_lines([f"text number {number} with some more words" for number in range(5000)]))
    done = subprocess.run(
        ["bash", "-c", 'set -o pipefail; "$0" -m scriptchain predict "$1" --file "$2" | head -1', sys.executable,
         str(tiny_run), str(source)],
        capture_output=True, encoding="utf-8", env={**os.environ, "PYTHONPATH": SOURCE}, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert [line["text"] for line in lines_of(done.stdout)] == ["text number 0 with some more words"]


def test_no_home_and_no_locale_change_nothing(tiny_run, expected, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "scriptchain", "predict", str(tiny_run)],
        input=as_lines(TEXTS), capture_output=True, cwd=tmp_path, timeout=120,
        env={"PATH": os.environ.get("PATH", ""), "PYTHONPATH": SOURCE, "LC_ALL": "C", "PYTHONUTF8": "0",
             "PYTHONCOERCECLOCALE": "0"},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")
    assert lines_of(done.stdout.decode("utf-8")) == expected
    assert list(tmp_path.iterdir()) == []


def test_standard_input_of_a_process(command, tiny_run, expected):
    done = command("predict", tiny_run, text="".join(f"{text}\n" for text in TEXTS), PYTHONPATH=SOURCE)
    assert (done.returncode, done.stderr) == (0, "")
    assert lines_of(done.stdout) == expected


# --- hostile texts -------------------------------------------------------------------------------------------

HOSTILE = {
    "bidi": "safe \u202egnp.exe\u202c \u2066x\u2069",
    "zero width": "g\u200bo\u200bo\u200bd \ufeff",
    "emoji": "👩‍👩‍👧‍👦 👍🏽 🇩🇪 🙂",
    "marks": "e" + "\u0301" * 2000,
    "separators": "one\u2028two\u2029three\x85four",
    "control": "\x1b[31mred\x07",
    "tags": "x\U000e0041\U000e0042",
    "ligature": "\ufdfa" * 500,
    "special": "[PAD] [CLS] [MASK] [UNK] <s> </s>",
    "formula": "=cmd|' /C calc'!A0",
    "html": "<script>alert(1)</script>",
    "private": "\ue000\U0010ffff",
    "one word of a megabyte": "x" * 2**20,
    "many words of a megabyte": "good " * (2**20 // 5),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_text_gets_one_line_with_a_finite_score(name, predict, tmp_path):
    source, output = tmp_path / "rows.jsonl", tmp_path / "out.csv"
    source.write_bytes(as_jsonl([HOSTILE[name], "the food was good"]))
    code, lines, err = predict("--file", source, "--all")
    assert (code, err) == (0, "")
    assert [line["text"] for line in lines] == [HOSTILE[name], "the food was good"]
    assert all(0.5 <= line["score"] <= 1 for line in lines)
    assert predict("--file", source, "--output", output, "--raw") == (0, [], "")
    csv.field_size_limit(2**24)
    with output.open(encoding="utf-8", newline="") as file:
        assert [row[0] for row in csv.reader(file)] == ["text", HOSTILE[name], "the food was good"]


@pytest.mark.parametrize("name", ["out.csv", "out.jsonl"])
def test_bytes_that_are_no_text_in_an_argument_are_answered(name, predict, tmp_path):
    # a shell passes on any byte; Python writes those that are not UTF-8 as lone surrogates
    code, lines, err = predict("good \udcff")
    assert (code, [line["text"] for line in lines], err) == (0, ["good \udcff"], "")
    output = tmp_path / name
    assert predict("--output", output, "good \udcff") == (0, [], "")
    assert r"good \udcff" in output.read_text("utf-8")
