"""C1 to C10: a wrong key, value, path or environment ends in one line and the right exit code, nothing changed."""

import csv
import json
import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from scriptchain import config as configs
from scriptchain.__main__ import run
from scriptchain.errors import ConfigError

from ..refusals import refusal
from ..tiny import TINY

SETTINGS = [part for setting in TINY for part in ("--set", setting)] + ["--device", "cpu", "--threads", "1"]
CONFIG = "the config file must "
WRONG = {  # key: values that it must not have, and what the message must say of its range
    "epochs": ([0, -1, 1.5, "many", True, None, 10**10], "an integer"),
    "learning_rate": ([0, -1e-3, 1e9, "nan", "fast", True], "a number"),
    "dropout": ([-0.1, 1, 1.5, "nan"], "a number"),
    "num_layers": ([0, -3, 1_000_000, 2.5], "an integer"),
    "d_model": ([0, -128, 10**9], "an integer"),
    "num_heads": ([0, 7, 3, 10**6], ""),
    "max_seq_len": ([0, 1, 10**6], "an integer"),
    "vocab_size": ([0, 299, 10**9], "an integer"),
    "batch_size": ([0, -1, 10**7], "an integer"),
    "seed": ([-1, 2**32, 0.5], "an integer"),
    "pooling": (["mediocre", 3], ""),
    "residual": (["prenorm"], "one of pre_norm, post_norm, deep_norm, rezero"),
    "precision": (["fp64"], "one of fp32, bf16"),
    "lowercase": (["maybe", 1], "true or false"),
    "weight_decay": (["inf", "-inf", "nan", -1], "a number"),
    "class_weights": ([{"a": 0}, {"a": -1}, "heavy", [1]], ""),
    "head_layers": ([[0], ["a"], 5], ""),
}


@pytest.fixture
def here(tiny_data, tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    shutil.copy(tiny_data, "data.csv")
    return tmp_path


@pytest.fixture
def refused(here, capsys):
    return partial(refusal, here, capsys)


def misspelt(key: str) -> list[str]:
    """A letter left out, doubled, swapped with its neighbor."""
    middle = len(key) // 2
    swapped = key[: middle - 1] + key[middle] + key[middle - 1] + key[middle + 1 :]
    return [key[:middle] + key[middle + 1 :], key[:middle] + key[middle] + key[middle:], swapped]


@pytest.mark.parametrize("key", configs.KEYS)
def test_c1_a_misspelt_key_is_refused_and_a_key_is_suggested(key):
    for wrong in misspelt(key):
        if wrong in configs.KEYS:
            continue
        with pytest.raises(ConfigError) as caught:
            configs.make({wrong: 1})
        assert caught.value.message == f"config key must be a known one, got {wrong!r}"
        assert caught.value.hint == f"did you mean {key!r}?"


def test_c1_it_is_the_same_from_a_file_and_from_an_option(refused):
    line = "config key must be a known one, got 'learning_rat'; hint: did you mean 'learning_rate'?"
    assert refused("train", "data.csv", "--set", "learning_rat=0.1") == (2, line)
    Path("wrong.toml").write_text("learning_rat = 0.1\n")
    assert refused("train", "data.csv", "--config", "wrong.toml") == (2, line)


@pytest.mark.parametrize("key", WRONG)
def test_c2_a_wrong_value_names_the_key_the_rule_and_the_value(key):
    values, rule = WRONG[key]
    for value in values:
        value = float(value) if value in ("nan", "inf", "-inf") else value
        with pytest.raises(ConfigError) as caught:
            configs.make({key: value})
        assert caught.value.message.startswith(f"{key} must ")
        assert caught.value.message.endswith(f", got {value!r}")
        assert rule in caught.value.message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a = = 3", f"{CONFIG}be TOML: Invalid value (at line 1, column 5)"),
        (b"epochs = 1\nepochs = 2", f"{CONFIG}be TOML: Cannot overwrite a value (at end of document)"),
        (b"\xff\xfe", f"{CONFIG}be TOML: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
        (b"a = " + b"[" * 100_000, f"{CONFIG}be TOML, got one nested too deep"),
        (b"#" * (2**20 + 1), f"{CONFIG}have at most 1,048,576 bytes"),
        (b"a: &a [*a, *a]", f"{CONFIG}be TOML: Expected '=' after a key in a key/value pair (at line 1, column 2)"),
        (b"x = !!python/object/apply:os.system ['true']", f"{CONFIG}be TOML: Invalid value (at line 1, column 5)"),
    ],
    ids=["syntax", "doubled key", "no text", "deep", "huge", "yaml anchors", "yaml objects"],
)
def test_c3_a_config_file_is_small_toml_and_nothing_else(content, message, refused):
    Path("c.toml").write_bytes(content)
    assert refused("train", "data.csv", "--config", "c.toml") == (2, f"c.toml: {message}")


def test_c3_a_file_without_end_is_read_no_further_than_the_cap(refused):
    message = "/dev/zero: the config file must have at most 1,048,576 bytes"
    assert refused("train", "data.csv", "--config", "/dev/zero") == (2, message)


def test_c3_a_deep_value_of_an_option_is_refused_too(refused):
    code, message = refused("train", "data.csv", "--set", "head_layers=" + "[" * 10_000)
    assert (code, message) == (2, "--set head_layers must be TOML, got a value nested too deep")


@pytest.mark.parametrize("settings", [("num_layers=1024", "d_model=65536"), ("max_seq_len=65536", "batch_size=100000")])
def test_c4_what_no_memory_holds_is_refused_with_its_estimate(settings, refused):
    code, message = refused("train", "data.csv", "--quiet", *(part for one in settings for part in ("--set", one)))
    assert code == 2
    assert " GiB of memory, got an estimate of " in message
    assert message.endswith("hint: lower d_model, num_layers, max_seq_len, vocab_size or batch_size")


@pytest.mark.parametrize("force", [(), ("--force",)], ids=["", "force"])
def test_c5_an_input_is_never_the_output(force, tiny_run, refused):
    Path("same.csv").symlink_to("data.csv")
    for output in ("data.csv", "./data.csv", "same.csv"):
        code, message = refused("predict", tiny_run, "--file", "data.csv", "--output", output, *force)
        assert (code, message) == (2, f"--output must not be the --file, got {str(Path(output))!r} twice")
        code, message = refused("train", "data.csv", "--quiet", "--output", output, *force)
        rule = "--force replaces run folders only" if force else "--output must not exist yet"
        assert code == 2
        assert message.startswith(f"{rule}, got {str(Path(output))!r}")


def test_c5_what_is_there_is_replaced_only_by_force(tiny_run, refused, capsys):
    Path("out.jsonl").write_text("precious")
    code, message = refused("predict", tiny_run, "words", "--output", "out.jsonl")
    assert (code, message) == (2, "--output must not exist yet, got 'out.jsonl'; hint: --force replaces it")
    assert Path("out.jsonl").read_text() == "precious"
    assert run(["predict", str(tiny_run), "words", "--output", "out.jsonl", "--force"]) == 0
    assert "precious" not in Path("out.jsonl").read_text()


@pytest.mark.parametrize("arguments", [("encodings",), ("presets",), ("info", "MODEL"), ("predict", "MODEL", "a")])
def test_c8_a_reader_that_leaves_ends_it_quietly(arguments, tiny_run):
    arguments = [str(tiny_run) if word == "MODEL" else word for word in arguments]
    read_end, write_end = os.pipe()
    os.close(read_end)  # nobody will ever read
    done = subprocess.run(
        [sys.executable, "-m", "scriptchain", *arguments],
        stdout=write_end, stderr=subprocess.PIPE, encoding="utf-8", timeout=120,
    )  # fmt: skip
    os.close(write_end)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", ["-dash with spaces, quote'\"s", "émoji 🙂 line\nbreak %s {0} \\n"], ids=repr)
def test_c9_any_path_works_without_home_and_locale(name, tiny_data, tmp_path):
    folder = tmp_path / name
    folder.mkdir()
    shutil.copy(tiny_data, folder / f"{name}.csv")
    bare = {key: value for key, value in os.environ.items() if key in ("PATH", "HF_HUB_OFFLINE", "PYTHONPATH")}

    def command(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "scriptchain", *arguments],
            capture_output=True, encoding="utf-8", cwd=folder, timeout=300, env={**bare, "LC_ALL": "C"},
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    command("train", f"./{name}.csv", "--output", f"./{name}", "--quiet", *SETTINGS)
    answers = command("predict", f"./{name}", "--file", f"./{name}.csv")
    with (folder / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [json.loads(line)["text"] for line in answers.splitlines()] == [row["text"] for row in rows]
    assert json.loads(command("info", f"./{name}", "--json"))["model"] == name


@pytest.mark.parametrize(
    "name", ["ACCELERATE_USE_CPU", "ACCELERATE_DYNAMO_BACKEND", "ACCELERATE_LOG_LEVEL", "LOCAL_RANK", "TORCH_LOGS"]
)
def test_c10_a_variable_with_junk_is_named(name, here, command):
    done = command("train", "data.csv", "--quiet", *SETTINGS, **{name: "junk"})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1] == (
        f"error: environment variable {name} must have a value that its library knows, got 'junk'; hint: unset {name}"
    )
    assert "Traceback" not in done.stderr


def test_c10_what_a_command_does_not_need_does_not_stop_it(here, command):
    junk = ("MPLBACKEND", "COLUMNS", "LINES", "TERM", "LANG", "LC_ALL", "TMPDIR", "HOME", "XDG_CACHE_HOME", "HF_HOME",
            "TOKENIZERS_PARALLELISM", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")  # fmt: skip
    done = command("train", "data.csv", "--output", "run", "--quiet", *SETTINGS, **dict.fromkeys(junk, "junk"))
    assert done.returncode == 0
    assert "error" not in done.stderr  # fontconfig may have something to say of LANG
    assert (here / "run" / "report.html").is_file()
