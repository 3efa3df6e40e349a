"""Laws of `encodings`: every encoding is listed with the facts of its class, and drawn; bad uses get one line."""

import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import scriptchain
from scriptchain.__main__ import run
from scriptchain.positions import Size, build, in_stack, load, names

STACK = {"d_model": 128, "num_heads": 8, "num_layers": 3, "max_seq_len": 64}
SIZE = Size(**STACK, embedding_std=0.05)
FACTS = (
    "acts",
    "every_layer",
    "learns",
    "shift_invariant",
    "direction_aware",
    "length_limit",
    "encoder_form",
    "source",
)


@pytest.fixture
def answer(capsys):
    """Runs a command that must work: gives its one JSON document or its text."""

    def call(*arguments: str, told: str = "") -> dict | str:
        assert run(["encodings", *arguments]) == 0
        out, err = capsys.readouterr()
        assert err == told
        return json.loads(out) if "--json" in arguments else out

    return call


def count(module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_the_list_is_one_document_of_all_names(answer):
    data = answer("--json")
    assert list(data) == ["stack", "encodings"]
    assert data["stack"] == STACK
    assert list(data["encodings"]) == names()


@pytest.mark.parametrize("name", names())
def test_an_encoding_is_listed_with_its_facts_and_what_it_learns_in_the_stack(name, answer):
    facts = answer("--json")["encodings"][name]
    assert facts == {
        **{fact: getattr(load(name), fact) for fact in FACTS},
        "parameters": count(build(name, SIZE, {})),
        "parameters_in_stack": count(in_stack(lambda: build(name, SIZE, {}))),
    }
    (line,) = (line for line in answer().splitlines() if line.split()[:1] == [name])
    yes = {True: "yes", False: "no"}
    shown = (
        name, facts["acts"], facts["learns"], str(facts["parameters_in_stack"]), yes[facts["shift_invariant"]],
        yes[facts["direction_aware"]], facts["length_limit"], facts["encoder_form"], facts["source"],
    )  # fmt: skip
    assert " ".join(line.split()) == " ".join(shown)


@pytest.mark.parametrize("name", names())
def test_a_page_shows_facts_options_and_description(name, answer):
    kind = load(name)
    data, page = answer(name, "--json"), answer(name)
    options = {key: value.default for key, value in inspect.signature(kind).parameters.items() if key != "size"}
    assert data == {
        "name": name, "stack": STACK, **answer("--json")["encodings"][name],
        "options": {key: {"default": value, "value": value} for key, value in options.items()},
        "description": inspect.getdoc(kind),
    }  # fmt: skip
    assert inspect.getdoc(kind) in page
    assert f"\n  parameters       {data['parameters_in_stack']}\n" in page
    for key in options:
        assert any(line.split()[:1] == [key] for line in page.partition("\noptions\n")[2].splitlines())


def test_options_and_sizes_are_set_as_in_train(answer):
    settings = [part for text in ("positions_options.num_positions=100", "d_model=64", "max_seq_len=80", "num_heads=4")
                for part in ("--set", text)]  # fmt: skip
    data = answer("learned", *settings, "--json")
    assert data["options"] == {
        "std": {"default": 0.02, "value": 0.02}, "num_positions": {"default": None, "value": 100},
    }  # fmt: skip
    assert data["parameters"] == data["parameters_in_stack"] == 6400
    assert "  num_positions  -        100\n" in answer("learned", *settings)
    assert "  learnable  true     false\n" in answer("alibi", "--set", "positions_options.learnable=false")
    shared = answer("alibi", "--set", "positions_shared=true", "--set", "num_layers=6", "--json")
    assert (shared["parameters"], shared["parameters_in_stack"]) == (16, 16)


@pytest.mark.parametrize("name", names())
def test_every_encoding_is_drawn_and_twice_the_same(name, answer, tmp_path):
    page = answer(name)
    files = [tmp_path / "one.png", tmp_path / "two.png"]
    for file in files:
        assert answer(name, "--plot", str(file), told=f"{file} written\n") == page
    one, two = (file.read_bytes() for file in files)
    assert one.startswith(b"\x89PNG")
    assert one == two


@pytest.mark.parametrize(("suffix", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_the_suffix_decides_the_format(suffix, start, answer, tmp_path):
    file = tmp_path / f"kerple.{suffix}"
    answer("kerple", "--plot", str(file), "--json", told=f"{file} written\n")
    assert file.read_bytes().startswith(start)


def test_options_change_the_picture(answer, tmp_path):
    one, two = tmp_path / "one.png", tmp_path / "two.png"
    answer("kerple", "--plot", str(one), told=f"{one} written\n")
    answer("kerple", "--set", "positions_options.kind=power", "--plot", str(two), told=f"{two} written\n")
    assert one.read_bytes() != two.read_bytes()


ENDING = "--plot must end in .pdf, .png, .svg, got {!r}; hint: --plot positions.png"
NAME = "NAME must be given with --plot and --set, got none; hint: scriptchain encodings rope"
USES = [
    ("ropes", 2, "positions must be a known encoding, got 'ropes'; hint: did you mean 'rope'?"),
    ("zzz", 2, f"positions must be a known encoding, got 'zzz'; hint: the encodings are {', '.join(names())}"),
    ("--plot a.png", 2, NAME),
    ("--set max_seq_len=8", 2, NAME),
    ("rope --plot a.gif", 2, ENDING.format("a.gif")),
    ("rope --plot a", 2, ENDING.format("a")),
    ("rope --plot folder", 2, ENDING.format("folder")),
    ("rope --plot there.png", 2, "--plot must not exist yet, got 'there.png'; hint: --force replaces it"),
    ("rope --plot gone/a.png", 5, "gone/a.png cannot be written (No such file or directory)"),
    ("rope --plot folder.png --force", 5, "folder.png cannot be written (Is a directory)"),
    ("rope --set base", 2, "--set must be key=value, got 'base'; hint: --set num_layers=6"),
    ("kerple --set positions_options.kin=log", 2,
     "positions_options must be options of 'kerple', got 'kin'; hint: its options are kind"),
    ("rope --set positions_options.base=0", 2,
     "base must be a number greater than 1, got 0.0; hint: positions_options.base=10000"),
    ("rope --set positions=alibi", 2,
     "positions must be chosen by NAME, got --set positions=alibi; hint: scriptchain encodings alibi"),
    ("rope alibi", 2, "Got unexpected extra argument(s) (alibi); hint: scriptchain --help"),
]  # fmt: skip


@pytest.mark.parametrize(("use", "code", "message"), USES, ids=[use for use, _, _ in USES])
def test_a_bad_use_gets_one_line_and_its_exit_code(use, code, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("there.png").write_text("precious")
    Path("folder").mkdir()
    Path("folder.png").mkdir()
    assert run(["encodings", *use.split()]) == code
    assert capsys.readouterr() == ("", f"error: {message}\n")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["folder", "folder.png", "there.png"]
    assert Path("there.png").read_text() == "precious"


def test_a_picture_is_replaced_with_force(answer, tmp_path):
    file = tmp_path / "none.png"
    file.write_text("old")
    answer("none", "--plot", str(file), "--force", told=f"{file} written\n")
    assert file.read_bytes().startswith(b"\x89PNG")


def test_a_disk_that_refuses_is_exit_5(tmp_path, monkeypatch, capsys):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("scriptchain.durable.write", refuse)
    assert run(["encodings", "none", "--plot", str(tmp_path / "a.png")]) == 5
    assert capsys.readouterr() == ("", f"error: {tmp_path / 'a.png'} cannot be written (Permission denied)\n")


@pytest.mark.parametrize(
    ("module", "use", "what"),
    [("torch", "", "encodings (torch)"), ("torch", "rope", "encodings (torch)"),
     ("matplotlib", "rope --plot a.png", "--plot (matplotlib)")],
)  # fmt: skip
def test_without_the_extra_it_says_what_to_install(module, use, what, tmp_path):
    done = without(module, use, tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: {what} needs the [train] extra; hint: pip install 'scriptchain[train]'\n"
    assert not list(tmp_path.iterdir())


def test_the_list_needs_no_matplotlib(tmp_path):
    assert without("matplotlib", "rope --json", tmp_path).returncode == 0


def without(module: str, use: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """The command in an interpreter where a module cannot be imported."""
    code = (
        f"import sys; sys.modules[{module!r}] = None; from scriptchain.__main__ import run; sys.exit(run(sys.argv[1:]))"
    )
    source = str(Path(scriptchain.__file__).parents[1])
    return subprocess.run(
        [sys.executable, "-c", code, "encodings", *use.split()], capture_output=True, encoding="utf-8", cwd=folder,
        timeout=120, env={**os.environ, "PYTHONPATH": source},
    )  # fmt: skip
