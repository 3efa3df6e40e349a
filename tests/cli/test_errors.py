"""Every bad use ends in one line on stderr and the contract's exit code: no traceback, no stdout, nothing lost."""

import csv
import errno
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

import scriptchain
from scriptchain.__main__ import Terminated, main, run
from scriptchain.runtime.bundle import FILES

from ..refusals import refusal
from ..tiny import TINY

SETTINGS = [part for setting in TINY for part in ("--set", setting)] + ["--device", "cpu", "--threads", "1"]
SOURCE = str(Path(scriptchain.__file__).parents[1])
HELP = "; hint: scriptchain --help"


def write(path: Path, rows) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *rows])


@pytest.fixture
def here(tiny_run, tiny_data, tmp_path, monkeypatch):
    """A folder to stand in: data.csv, a run folder `model`, and files that are wrong in one way each."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(tiny_data, "data.csv")
    Path("model").mkdir()
    for name in (*FILES, "manifest.json"):
        shutil.copy(tiny_run / name, "model")
    Path("folder").mkdir()
    Path("folder/precious.txt").write_text("precious")
    Path("bad.toml").write_text("a = = 3\n")
    Path("empty.csv").write_text("")
    Path("head.csv").write_text("text,label\n")
    write(Path("one.csv"), [("a b c", "x"), ("d e f", "x")])
    write(Path("two.csv"), [("g h i", "x"), ("j k l", "y")])
    write(Path("lonely.csv"), [*((f"text number {n}", "xy"[n % 2]) for n in range(40)), ("only one", "z")])
    write(Path("strange.csv"), [("hello there", "good"), ("bye now", "ugly"), ("bye then", "ugly")])
    Path("texts.csv").write_text("text\nwithout labels\n")
    return tmp_path


@pytest.fixture
def refused(here, capsys):
    return partial(refusal, here, capsys)


# --- the command line ----------------------------------------------------------------------------------------

NO_MODEL = "the model must be a run folder, got 'gone', which does not exist; hint: scriptchain train FILE --output DIR"
NO_FILE = "gone.csv does not exist; hint: check the path, or try the bundled set: emotions"

USES = [
    ("nonsense", 2, f"No such command 'nonsense'{HELP}"),
    ("presets nonsense", 2, f"No such command 'nonsense'{HELP}"),
    ("--nonsense", 2, f"No such option: --nonsense{HELP}"),
    ("predict model text --nonsense", 2, f"No such option: --nonsense{HELP}"),
    ("info", 2, f"Missing argument 'MODEL'{HELP}"),
    ("train", 2, f"Missing argument 'FILE'{HELP}"),
    ("train data.csv more", 2, f"Got unexpected extra argument(s) (more){HELP}"),
    # files
    ("train gone.csv", 3, NO_FILE),
    ("train data.csv --test gone.csv --quiet", 3, NO_FILE),
    ("train data.csv --validation gone.csv --quiet", 3, NO_FILE),
    ("train folder", 3, "folder must be a file, got a directory"),
    ("train empty.csv", 3, "empty.csv has no rows"),
    ("train head.csv", 3, "head.csv has no rows"),
    ("train one.csv --quiet", 3, "labels must have 2 or more classes, got 1 ('x')"),
    ("train one.csv --test two.csv --validation data.csv --quiet", 3,
     "the training rows must have at least two classes, got 1"),
    ("train lonely.csv --quiet", 3,
     "class 'z' must have 3 or more distinct texts for 3 parts, got 1; hint: add rows of this class or remove it, or "
     "give the parts as files with --validation and --test"),
    ("train texts.csv", 3,
     "texts.csv:1: no column 'label' among 'text'; hint: the first line must name the columns, as in text,label; "
     "another name goes with --label-column NAME (in Python label_column=)"),
    ("train data.csv --encoding nonsense", 2,
     "encoding must be the name of a text encoding, got nonsense; hint: for example utf-8, utf-16, latin-1 or cp1252"),
    # where to
    ("train data.csv --quiet --output model", 2, "--output must not exist yet, got 'model'; hint: --force replaces it"),
    ("train data.csv --quiet --output data.csv", 2,
     "--output must not exist yet, got 'data.csv'; hint: --force replaces it"),
    ("train data.csv --quiet --output folder --force", 2,
     "--force replaces run folders only, got 'folder'; hint: choose another --output"),
    ("train data.csv --quiet --output data.csv --force", 2,
     "--force replaces run folders only, got 'data.csv'; hint: choose another --output"),
    ("train data.csv --quiet --output data.csv/run", 5,
     "data.csv must be a folder that can be written (Not a directory)"),
    # recipes
    ("train data.csv --preset smal", 2, "preset must be a known one, got 'smal'; hint: did you mean 'small'?"),
    ("train data.csv --config gone.toml", 2,
     "gone.toml: the config file must exist; hint: scriptchain presets copy small my.toml"),
    ("train data.csv --config bad.toml", 2,
     "bad.toml: the config file must be TOML: Invalid value (at line 1, column 5)"),
    ("train data.csv --config folder", 2, "folder: the config file cannot be read (Is a directory)"),
    ("train data.csv --set epochs", 2, "--set must be key=value, got 'epochs'; hint: --set num_layers=6"),
    ("train data.csv --set epoch=3", 2, "config key must be a known one, got 'epoch'; hint: did you mean 'epochs'?"),
    ("train data.csv --set epochs=0", 2, "epochs must be an integer >= 1, got 0"),
    ("train data.csv --set preset=seed", 2,
     "preset must be chosen by --preset, got --set preset=seed; hint: --preset seed"),
    ("train data.csv --set num_heads=7", 2, "num_heads must divide d_model 128, got 7; hint: num_heads=4"),
    ("train data.csv --depth 0", 2, "depth must be at least 1, got 0; hint: --depth 3"),
    ("train data.csv --seed -1", 2, "seed must be an integer >= 0, got -1"),
    ("train data.csv --quiet --set num_classes=3", 2,
     "num_classes must be 2, the number of classes in the training rows, got 3; hint: leave num_classes out"),
    ("train data.csv --quiet --set class_weights.ugly=2", 2,
     "class_weights must name classes of the data, got 'ugly'; hint: the classes are bad, good"),
    ("train data.csv --quiet --set positions=learnt", 2,
     "positions must be a known encoding, got 'learnt'; hint: did you mean 'learned'?"),
    ("train data.csv --quiet --set positions=learned --set positions_options.foo=1", 2,
     "positions_options must be options of 'learned', got 'foo'; hint: its options are std, num_positions"),
    ("train data.csv --quiet --set positions_options.std=1", 2,
     "positions_options must be a table for each of learned, convolutional, got std = 1; "
     "hint: positions_options.learned.OPTION=VALUE"),
    ("train data.csv --quiet --device tpu", 2, "device must be one of auto, cpu, cuda, mps, got 'tpu'"),
    ("train data.csv --quiet --device mps", 2,
     "device must be there, got 'mps' on a machine without it; hint: --device cpu"),
    # models
    ("predict gone text", 4, NO_MODEL),
    ("info gone", 4, NO_MODEL),
    ("evaluate gone data.csv", 4, NO_MODEL),
    ("check data.csv --model gone", 4, NO_MODEL),
    ("predict data.csv text", 4,
     "the model must be a run folder, got 'data.csv', which is a file; hint: scriptchain train FILE --output DIR"),
    ("predict folder text", 4,
     "folder/manifest.json must exist in a run folder; hint: scriptchain train FILE --output DIR"),
    # evaluate
    ("evaluate model", 2,
     "evaluate must have one or two models and a file, got 1 arguments; hint: scriptchain evaluate MODEL FILE"),
    ("evaluate model model model data.csv", 2,
     "evaluate must have one or two models and a file, got 4 arguments; hint: scriptchain evaluate MODEL FILE"),
    ("evaluate model gone.csv", 3, NO_FILE),
    ("evaluate model model data.csv --invariance", 2,
     "--invariance must be asked of one model, got two; hint: scriptchain evaluate MODEL FILE"),
    # predict
    ("predict model text --file data.csv", 2, "texts must come as arguments or from --file, got both"),
    ("predict model text --output data.csv", 2,
     "--output must not exist yet, got 'data.csv'; hint: --force replaces it"),
    ("predict model text --output folder --force", 2,
     "--output must be a file where the texts come from no file, got the directory 'folder'"),
    ("predict model text --output gone/out.csv", 5,
     "gone/out.csv cannot be written (No such file or directory)"),
    ("predict model --file gone.csv", 3, NO_FILE),
    ("predict model --file folder", 2, "a folder of files must come with --output DIR, got none"),
    ("predict model --file empty.csv", 3, "empty.csv has no rows"),
    # check, presets
    ("check gone.csv", 3, NO_FILE),
    ("check data.csv --against gone.csv", 3, NO_FILE),
    ("presets copy smal out.toml", 2, "preset must be a known one, got 'smal'; hint: did you mean 'small'?"),
    ("presets copy small data.csv", 2, "the file must not exist yet, got 'data.csv'; hint: --force replaces it"),
    ("presets copy small gone/out.toml", 5, "gone/out.toml cannot be written (No such file or directory)"),
]  # fmt: skip


@pytest.mark.parametrize(("use", "code", "message"), USES, ids=[use for use, _, _ in USES])
def test_a_bad_use_gets_one_line_and_its_exit_code(use, code, message, refused):
    assert refused(*use.split()) == (code, message)


@pytest.mark.parametrize(
    ("use", "option"),
    [
        ("train data.csv --repeats 0", "--repeats"), ("train data.csv --threads 0", "--threads"),
        ("train data.csv --depth deep", "--depth"), ("train data.csv --seed x", "--seed"),
        ("check data.csv --on-bad-row maybe", "--on-bad-row"), ("predict model text --threads 0", "--threads"),
    ],
)  # fmt: skip
def test_a_wrong_value_of_an_option_names_the_option(use, option, refused):
    code, message = refused(*use.split())
    assert code == 2
    assert message.startswith(f"Invalid value for '{option}': ")  # the rest is the parser's, other in each version
    assert message.endswith(HELP)


def test_labels_that_the_model_does_not_know_are_listed(refused):
    code, message = refused("evaluate", "model", "strange.csv")
    assert code == 3
    assert message.split("; hint: ")[0] == "labels must be among the 2 classes of the model, got 'ugly' (2 rows)"


def test_d14_unknown_labels_can_be_counted_and_left_out(here, capsys):  # of strange.csv's rows one is known
    assert run(["evaluate", "model", "strange.csv", "--unknown-labels", "skip", "--json"]) == 0
    skipping = json.loads(capsys.readouterr().out)
    assert (skipping["rows"], skipping["unknown_labels"]) == (1, 2)
    write(Path("known.csv"), [("hello there", "good")])
    assert run(["evaluate", "model", "known.csv", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == skipping | {"file": "known.csv", "unknown_labels": 0}
    assert run(["evaluate", "model", "strange.csv", "--unknown-labels", "skip"]) == 0
    assert "2 rows left out: the model does not know the label\n" in capsys.readouterr().out
    assert run(["evaluate", "model", "model", "strange.csv", "--unknown-labels", "skip", "--json"]) == 0
    both = json.loads(capsys.readouterr().out)
    assert (both["rows"], both["unknown_labels"]) == (1, 2)


def test_d14_a_file_without_any_known_label_is_refused_all_the_same(refused):
    write(Path("other.csv"), [("hello there", "ugly")])
    code, message = refused("evaluate", "model", "other.csv", "--unknown-labels", "skip")
    assert code == 3
    assert message.startswith("labels must be among the 2 classes of the model, got 'ugly' (1 row); hint: ")


def test_d18_exact_duplicates_can_be_left_out_before_the_split(here, capsys):
    with Path("data.csv").open(encoding="utf-8", newline="") as file:
        rows = [(row["text"], row["label"]) for row in csv.DictReader(file)]
    again = [(f"{text}  ", label) for text, label in rows[:30]]  # the same to a model
    write(Path("twice.csv"), [*rows, *again])
    assert run(["train", "twice.csv", "--output", "plain", "--quiet", "--json", *SETTINGS]) == 0
    assert json.loads(capsys.readouterr().out)["check"]["duplicates"]["count"] == 30
    assert run(["train", "twice.csv", "--dedup", "--output", "once", "--json", *SETTINGS]) == 0
    out, err = capsys.readouterr()
    assert "30 exact duplicate rows left out\n" in err
    assert run(["train", "data.csv", "--output", "never", "--quiet", "--json", *SETTINGS]) == 0
    once, never = json.loads(out), json.loads(capsys.readouterr().out)
    assert once["check"]["duplicates"]["count"] == 0
    assert (once["rows"], once["metrics"]) == (never["rows"], never["metrics"])
    for name in FILES:
        assert Path("once", name).read_bytes() == Path("never", name).read_bytes()


@pytest.mark.parametrize("models", [["model"], ["model", "model"]], ids=["one", "two"])
def test_d20_strict_refuses_rows_that_were_trained_on_after_saying_so(models, here, capsys):
    assert run(["evaluate", *models, "data.csv", "--strict", "--json"]) == 3
    out, err = capsys.readouterr()
    data = json.loads(out)
    leaked = data["leaks"]["rows"] if len(models) == 1 else data["models"][0]["leaked_rows"]
    assert leaked > 0
    told = f"{leaked} of 160 rows of data.csv stand in the training set"
    assert err == f"error: {told}; hint: score on rows that were not trained on\n"
    write(Path("fresh.csv"), [("never seen before", "good"), ("nor was this one", "bad")])
    assert run(["evaluate", *models, "fresh.csv", "--strict", "--json"]) == 0


def test_a_model_that_no_machine_can_hold_is_refused_before_anything_is_allocated(refused, monkeypatch):
    import torch

    def allocates(*_, **__):
        raise AssertionError("something was allocated")

    monkeypatch.setattr(torch.nn.Linear, "__init__", allocates)
    monkeypatch.setattr(torch.nn.Embedding, "__init__", allocates)
    code, message = refused("train", "data.csv", "--quiet", "--set", "d_model=65536", "--set", "num_layers=1024")
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    assert code == 2
    assert re.sub(r"estimate of [\d,]+ GiB", "estimate of N GiB", message) == (
        f"the model must fit into {there:.0f} GiB of memory, got an estimate of N GiB; "
        "hint: lower d_model, num_layers, max_seq_len, vocab_size or batch_size"
    )


def test_a_loss_that_is_no_number_is_exit_6_and_leaves_nothing(refused):
    wild = ["learning_rate=10", "weight_decay=1000000", "clip_norm=0", "schedule=constant", "warmup=0"]
    code, message = refused("train", "data.csv", "--quiet", *SETTINGS, *(w for s in wild for w in ("--set", s)))
    assert code == 6
    assert re.fullmatch(
        r"the (loss|gradient's norm) must stay finite, got (nan|inf) at step \d+ "
        r"\(learning rate 10, lines (\d+, ){7}\d+ and \d+ more\); hint: --set learning_rate=3",
        message,
    )
    assert not Path("runs").exists()


def test_training_without_torch_says_what_to_install(here):
    code = "import sys; sys.modules['torch'] = None; from scriptchain.__main__ import run; sys.exit(run(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", code, "train", "data.csv", "--quiet"], capture_output=True, encoding="utf-8", timeout=60,
        env={**os.environ, "PYTHONPATH": SOURCE},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: training (torch) needs the [train] extra; hint: pip install 'scriptchain[train]'\n"


# --- run folders that were changed ---------------------------------------------------------------------------

# each command reads some of the files; what it does not read, it does not trust
READS = {
    "predict model text": ("config.json", "labels.json", "tokenizer.json", "model.onnx"),
    "evaluate model data.csv": ("baseline.json", "baseline.safetensors", "fingerprints.bin"),
    "info model": FILES,
}
READ = [(use, name) for use, names in READS.items() for name in names]


def changed(name: str) -> str:
    return (
        f"model/{name} must be the file that training wrote, got another SHA-256 than manifest.json; "
        "hint: copy the whole run folder again, or train again"
    )


@pytest.mark.parametrize(("use", "name"), READ)
@pytest.mark.parametrize("change", ["truncated", "flipped", "longer", "empty"])
def test_a_file_that_was_changed_is_refused(use, name, change, refused):
    path = Path("model", name)
    content = bytearray(path.read_bytes())
    if change == "truncated":
        del content[len(content) // 2 :]
    elif change == "flipped":
        content[len(content) // 2] ^= 1
    elif change == "longer":
        content += b"\n"
    else:
        content.clear()
    path.write_bytes(content)
    assert refused(*use.split()) == (4, changed(name))


@pytest.mark.parametrize(("use", "name"), [*READ, ("predict model text", "manifest.json")])
def test_a_file_that_is_gone_is_refused(use, name, refused):
    Path("model", name).unlink()
    assert refused(*use.split()) == (
        4, f"model/{name} must exist in a run folder; hint: scriptchain train FILE --output DIR",
    )  # fmt: skip


@pytest.mark.parametrize("name", ["model.onnx", "config.json", "manifest.json"])
@pytest.mark.parametrize("kind", ["link outside", "link to itself", "folder", "pipe"])
def test_a_file_that_is_no_plain_file_inside_the_folder_is_refused(kind, name, here, refused):
    path = Path("model", name)
    path.rename(here / "outside")  # the very same bytes, but not inside
    if kind == "link outside":
        path.symlink_to(here / "outside")
    elif kind == "link to itself":
        path.symlink_to(name)
    elif kind == "folder":
        path.mkdir()
    else:
        os.mkfifo(path)
    assert refused("predict", "model", "text") == (4, f"model/{name} must be a plain file inside the run folder")


def test_a_run_folder_may_itself_be_reached_through_a_link(here, capsys):
    Path("link").symlink_to("model")
    assert run(["predict", "link", "text"]) == 0
    assert json.loads(capsys.readouterr().out)["text"] == "text"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "model/manifest.json must be JSON (Expecting value: line 1 column 1 (char 0))"),
        (b'["a"', "model/manifest.json must be JSON (Expecting ',' delimiter: line 1 column 5 (char 4))"),
        (b"[]", "model/manifest.json must be a manifest of scriptchain (Expected `object`, got `array`)"),
        (b"{}", "model/manifest.json must be a manifest of scriptchain (Object missing required field `format`)"),
        (b'{"format": 1, "scriptchain": "0", "files": {}, "run": "rm"}',
         "model/manifest.json must be a manifest of scriptchain (Object contains unknown field `run`)"),
        (b'{"format": 1, "scriptchain": "0", "files": {}, "of two\\nlines": 1}',
         "model/manifest.json must be a manifest of scriptchain (Object contains unknown field `of two\\u000alines`)"),
        (b'{"format": 1, "half a character \\ud800": "0", "files": {}}',
         "model/manifest.json must be JSON "
         "('utf-8' codec can't encode character '\\ud800' in position 32: surrogates not allowed)"),
        (b'{"format": 2, "scriptchain": "9", "files": {}}',
         "model: the format must be 1, got 2; hint: upgrade scriptchain"),
        (b'{"format": 0, "scriptchain": "0", "files": {}}', "model: the format must be 1, got 0; hint: train it again"),
        (b'{"format": 1, "scriptchain": "0", "files": {}}', changed("config.json")),
    ],
)  # fmt: skip
def test_a_damaged_manifest_is_refused(content, message, refused):
    Path("model/manifest.json").write_bytes(content)
    assert refused("predict", "model", "text") == (4, message)


def test_a_manifest_that_names_a_file_outside_reads_nothing_there(refused):
    manifest = json.loads(Path("model/manifest.json").read_bytes())
    manifest["files"]["../data.csv"] = hashlib.sha256(Path("data.csv").read_bytes()).hexdigest()
    Path("model/manifest.json").write_text(json.dumps(manifest))
    assert refused("info", "model") == (
        4, "model/manifest.json must name files of a run folder, got '../data.csv'",
    )  # fmt: skip


def reseal(name: str, content: bytes, folder: str = "model") -> None:
    """As someone who changes a file and its hash, too."""
    manifest = json.loads(Path(folder, "manifest.json").read_bytes())
    manifest["files"][name] = hashlib.sha256(content).hexdigest()
    Path(folder, name).write_bytes(content)
    Path(folder, "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("use", "name", "content", "message"),
    [
        ("predict model text", "labels.json", b'["a", "a"]',
         "labels.json must be a JSON list of distinct, not empty strings"),
        ("predict model text", "labels.json", b'["a"]',
         "model/labels.json must name 2 classes, as config.json says, got 1"),
        ("info model", "labels.json", b'["a", "b", "c"]',
         "model/labels.json must name 2 classes, as config.json says, got 3"),
        ("predict model text", "config.json", b"[1]", "model/config.json must be an object, got list"),
        ("predict model text", "config.json", b'{"auto_map": "x"}',
         "model/config.json: config key must be a known one, got 'auto_map'; hint: did you mean 'gamma'?"),
        ("predict model text", "config.json", b'{"max_seq_len": 1e99}',
         "model/config.json: max_seq_len must be an integer, got 1e+99"),
        ("predict model text", "tokenizer.json", b"{}",
         "tokenizer.json must be a tokenizer file, got one without a vocabulary"),
        ("evaluate model data.csv", "fingerprints.bin", b"123",
         "model/fingerprints.bin must hold 8 bytes a text, got 3 bytes"),
        ("evaluate model data.csv", "baseline.json", b"{}",
         "baseline.json must describe a baseline, got: Object missing required field `analyzer`; "
         "hint: train the baseline again"),
    ],
)  # fmt: skip
def test_a_file_with_a_right_hash_and_wrong_contents_is_refused(use, name, content, message, refused):
    reseal(name, content)
    assert refused(*use.split()) == (4, message)


def test_an_onnx_file_that_is_none_is_refused(refused):
    reseal("model.onnx", b"not a model")
    code, message = refused("predict", "model", "text")
    assert (code, message) == (4, "model.onnx must be an ONNX file, got a damaged one")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "model/report.json must be JSON; hint: remove it; the model does not need it"),
        ('{"metrics": {"accuracy": 3}}',
         "model/report.json must give each metric as value, low and high; hint: remove it; the model does not need it"),
        ('{"metrics": {"accuracy": {"value": 1, "low": null, "high": 2}}}',
         "model/report.json must give each metric as value, low and high; hint: remove it; the model does not need it"),
    ],
)  # fmt: skip
def test_a_damaged_report_is_refused_by_info_alone(content, message, refused, capsys):
    Path("model/report.json").write_text(content)
    assert refused("info", "model") == (4, message)
    assert run(["predict", "model", "text"]) == 0
    assert capsys.readouterr().err == ""


def test_models_of_different_classes_are_not_compared(refused):
    shutil.copytree("model", "other")
    reseal("labels.json", b'["x", "y"]', "other")
    assert refused("evaluate", "model", "other", "data.csv") == (
        4, "two models must have the same classes to be compared, got bad, good and x, y",
    )  # fmt: skip


def test_a_file_that_may_not_be_read_is_exit_5(refused, monkeypatch):
    opened = os.open

    def forbidden(path, *rest, **more) -> int:
        if path == Path("model/config.json"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return opened(path, *rest, **more)

    monkeypatch.setattr("scriptchain.runtime.bundle.os.open", forbidden)
    assert refused("predict", "model", "text") == (
        5, "model/config.json must be readable; hint: chmod +r model/config.json",
    )  # fmt: skip


@pytest.mark.parametrize("use", ["train data.csv --quiet", "predict model text --output out.csv"])
def test_a_folder_that_may_not_be_written_is_exit_5(use, refused, monkeypatch):
    def forbidden(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("pathlib.Path.mkdir", forbidden)
    monkeypatch.setattr("tempfile.mkstemp", forbidden)
    where = "runs must be a folder that can be written" if use.startswith("train") else "out.csv cannot be written"
    assert refused(*use.split()) == (5, f"{where} (Permission denied)")


# --- what nobody foresaw -------------------------------------------------------------------------------------


def raising(error: BaseException):
    def call(*_, **__):
        raise error

    return call


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (ZeroDivisionError("of\ntwo lines"), 1,
         "a bug in scriptchain: ZeroDivisionError: of two lines; hint: run it again with --debug and report it"),
        (KeyboardInterrupt(), 130, "stopped by SIGINT"),
        (Terminated(), 143, "stopped by SIGTERM"),
        (MemoryError(), 5, "not enough memory; hint: a smaller batch_size, or a file in parts"),
        (OSError(errno.ENOSPC, "No space left on device"), 5, "No space left on device"),
        (OSError(errno.ENOSPC, "No space left on device", "out.csv"), 5, "out.csv: No space left on device"),
        (RecursionError("deep"), 1,
         "a bug in scriptchain: RecursionError: deep; hint: run it again with --debug and report it"),
    ],
)  # fmt: skip
def test_what_nobody_foresaw_is_one_line_too(error, code, message, refused, monkeypatch):
    monkeypatch.setattr("scriptchain.runtime.session.Session.logits", raising(error))
    assert refused("predict", "model", "text") == (code, message)
    assert refused("predict", "model", "text", "--output", "out.csv") == (code, message)


def test_debug_shows_the_traceback_wherever_it_stands(here, monkeypatch):
    monkeypatch.setattr("scriptchain.runtime.session.Session.logits", raising(ZeroDivisionError("why")))
    for arguments in (["--debug", "predict", "model", "text"], ["predict", "model", "text", "--debug"]):
        monkeypatch.setattr(sys, "argv", ["scriptchain", *arguments])
        with pytest.raises(ZeroDivisionError, match=r"^why$"):
            main()


def test_without_debug_the_process_ends_with_the_exit_code(here, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["scriptchain", "info", "gone"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 4
    assert capsys.readouterr().err == f"error: {NO_MODEL}\n"


# --- signals -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_what_was_learned(number, here, capsys):
    name = signal.Signals(number).name
    command = [sys.executable, "-m", "scriptchain", "train", "data.csv", "--output", "out/run", *SETTINGS]
    command += ["--set", "epochs=1000000", "--set", "patience=0"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
        env={**os.environ, "PYTHONPATH": SOURCE},
    )  # fmt: skip
    assert process.stderr is not None
    try:
        lines = iter(process.stderr.readline, "")
        assert any(line.startswith("epoch 1/") for line in lines)
        process.send_signal(number)
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, out) == (128 + number, "")
    *epochs, last = err.splitlines()
    assert re.sub(r"step [\d,]+", "step N", last) == (
        f"error: training was stopped by {name} behind step N; all of it is kept in out/run-partial; "
        "hint: the same command with --resume goes on, and with --resume --finish ends there"
    )
    assert all(line.startswith("epoch ") for line in epochs)
    assert [path.name for path in Path("out").iterdir()] == ["run-partial"]
    assert run([*command[3:], "--resume", "--finish", "--quiet"]) == 0
    capsys.readouterr()
    assert run(["evaluate", "out/run", "data.csv", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 160
