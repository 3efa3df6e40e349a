"""What no other test comes by: bad input on one side, what is said of it on the other, to the letter."""

import errno
import io
import json
import os
import shutil
import sys
from importlib import import_module

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from scriptchain import config, lab
from scriptchain.__main__ import run
from scriptchain.data import files, records, tasks
from scriptchain.data.batches import score_in_batches
from scriptchain.data.tokenizer import Tokenizer
from scriptchain.diagnosis import texts
from scriptchain.diagnosis.diagnose import diagnose
from scriptchain.errors import DataError, ModelError, ResourceError, ScriptChainError, UsageError
from scriptchain.lab.claims import Claim
from scriptchain.lab.laws import fit_laws
from scriptchain.positions import Size, build
from scriptchain.run import train
from scriptchain.runtime import tensors
from scriptchain.runtime.linear import Linear
from scriptchain.runtime.session import Session
from scriptchain.training import state
from scriptchain.training.average import Average
from scriptchain.training.best import Best

from .tiny import TINY

SIZE = Size(d_model=16, num_heads=2, num_layers=2, max_seq_len=8, embedding_std=0.05)


def said(kind: type[ScriptChainError], do) -> str:
    with pytest.raises(kind) as caught:
        do()
    assert type(caught.value) is kind
    return str(caught.value)


OPTIONS = [
    ("cape", {"max_stretch": 0.5}, "max_stretch must be at least 1, got 0.5; hint: positions_options.max_stretch=1.0"),
    ("convolutional", {"kernel": 4}, "kernel must be odd and at least 3, got 4; hint: positions_options.kernel=3"),
    ("cope", {"num_positions": 1}, "num_positions must be at least 2, got 1; hint: positions_options.num_positions=64"),
    ("deberta", {"reach": 0}, "reach must be at least 1, got 0; hint: positions_options.reach=32"),
    ("distance_profile", {"profiles": 0}, "profiles must be at least 1, got 0; hint: positions_options.profiles=8"),
    ("fire", {"hidden": 0}, "hidden must be at least 1, got 0; hint: positions_options.hidden=32"),
    ("fire", {"threshold": 0.5}, "threshold must be at least 1, got 0.5; hint: positions_options.threshold=64"),
    ("grouped", {"group": 1}, "group must be at least 2, got 1; hint: positions_options.group=2"),
    ("offset", {"offset": -1}, "offset must be at least 0, got -1; hint: positions_options.offset=1"),
    ("randomized", {"num_positions": 7},
     "num_positions must be at least max_seq_len 8, got 7; hint: positions_options.num_positions=2048"),
    ("rope", {"scaling": "yarn"}, "scaling must be none, linear or ntk, got 'yarn'"),
    ("rope", {"factor": 2.0},
     "factor must be above 1 with a scaling and 1 without, got 2.0 with none; "
     "hint: positions_options.scaling=linear, positions_options.factor=2"),
    ("rope", {"scaling": "ntk", "factor": 2.0, "partial": 0.25},
     "scaling must be none or linear where one pair of channels turns, got 'ntk'"),
    ("shape", {"max_shift": 0}, "max_shift must be at least 1, got 0; hint: positions_options.max_shift=100"),
    ("shaw", {"reach": 0}, "reach must be at least 1, got 0; hint: positions_options.reach=16"),
    ("sinusoidal", {"layout": "mixed"}, "layout must be half or interleaved, got 'mixed'"),
    ("tupe", {"reach": 0}, "reach must be at least 1, got 0; hint: positions_options.reach=7"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "options", "message"), OPTIONS, ids=lambda value: str(value)[:30])
def test_options_of_encodings(name, options, message):
    assert said(config.ConfigError, lambda: build(name, SIZE, options)) == message


def test_an_odd_width_has_no_sinusoids():
    odd = Size(d_model=15, num_heads=3, num_layers=1, max_seq_len=8, embedding_std=0.05)
    assert said(config.ConfigError, lambda: build("transformer_xl", odd, {})) == (
        "d_model must be even for sinusoidal vectors, got 15"
    )


# --- commands -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("use", "code", "message"),
    [
        ("diagnose seed --depths 3,deep", 2,
         "--depths must be numbers of layers, got '3,deep'; hint: --depths 3,6,12,24"),
        ("diagnose seed --output gone/depth.html", 5,
         "--output must be a file in a folder that can be written, got 'gone/depth.html'; hint: --output depth.html"),
        ("diagnose seed --fail-on rank_colapse", 2,
         "--fail-on must name a verdict, got 'rank_colapse'; hint: did you mean 'rank_collapse'?"),
        ("evaluate model model data.csv --invariance", 2,
         "--invariance must be asked of one model, got two; hint: scriptchain evaluate MODEL FILE"),
        ("diagnose RUN --set num_layers=2", 2,
         "--set must stand beside a preset or config file, got the folder 'RUN'; "
         "hint: scriptchain diagnose small --set num_layers=6"),
        ("presets copy small gone/out.toml", 5, "gone/out.toml cannot be written (No such file or directory)"),
    ],
    ids=lambda value: str(value)[:30],
)  # fmt: skip
def test_commands(use, code, message, capsys, tiny_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run([str(tiny_run) if part == "RUN" else part for part in use.split()]) == code
    assert capsys.readouterr().err == f"error: {message.replace('RUN', str(tiny_run))}\n"


def test_predict_at_a_terminal_asks_for_texts(tiny_run, monkeypatch, capsys):
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    assert run(["predict", str(tiny_run)]) == 2
    assert capsys.readouterr().err == (
        f"error: texts must be given, got none; hint: scriptchain predict {tiny_run} 'a text'\n"
    )


DIAGNOSIS = ("diagnosis.texts", "diagnosis.subject", "diagnosis.diagnose", "diagnosis.claims", "diagnosis")


def without(monkeypatch, library: str, *modules: str) -> None:
    """As if the library was not installed; these modules of ours are imported anew."""
    for module in modules:
        import_module(f"scriptchain.{module}")
    monkeypatch.setitem(sys.modules, library, None)
    for module in modules:
        parent, _, name = f"scriptchain.{module}".rpartition(".")
        monkeypatch.delattr(sys.modules[parent], name)
        monkeypatch.delitem(sys.modules, f"scriptchain.{module}")


@pytest.mark.parametrize(
    ("use", "library", "modules", "what", "extra"),
    [
        ("compare emotions", "torch", ("bench.single",), "compare (torch)", "train"),
        ("diagnose seed", "torch", DIAGNOSIS, "diagnose (torch)", "train"),
        ("encodings", "torch", ("positions._bias", "positions"), "encodings (torch)", "train"),
        ("encodings rope --plot rope.png", "matplotlib", ("export.encodings",), "--plot (matplotlib)", "train"),
        ("train emotions --output run", "torch", ("training.encoder", "model.pipeline"), "training (torch)", "train"),
        ("diagnose FOLDER", "transformers", (), "a Hugging Face folder", "hf"),
        (
            "explain RUN good --method gradients",
            "torch",
            ("model.pipeline", "model.gradients"),
            "--method gradients (torch)",
            "train",
        ),
        ("explain RUN good --html page.html", "matplotlib", ("style", "export.page"), "--html (matplotlib)", "train"),
        ("export RUN --data emotions", "torch", ("model.pipeline", "export.artifact"), "export (torch)", "train"),
        ("predict RUN good --output x.parquet", "pyarrow", (), "Parquet (pyarrow)", "parquet"),
        ("predict RUN good --engine ray", "ray", (), "--engine ray (ray)", "ray"),
        ("pull hf:a/b", "huggingface_hub", (), "hf:a/b (huggingface_hub)", "hf"),
        ("serve RUN", "fastapi", ("server.app", "server.serve"), "serving (fastapi)", "serve"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_extras_that_are_not_installed(use, library, modules, what, extra, tiny_run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "FOLDER").mkdir()
    (tmp_path / "FOLDER" / "config.json").write_text("{}")
    with monkeypatch.context() as patch:
        without(patch, library, *modules)
        assert run([str(tiny_run) if part == "RUN" else part for part in use.split()]) == 2
    err = capsys.readouterr().err
    message = f"error: {what} needs the [{extra}] extra; hint: pip install 'scriptchain[{extra}]'"
    assert err.splitlines()[-1] == message


def test_a_learning_curve_without_scikit_learn(monkeypatch, capsys):
    def fit(*_, **__):
        raise ModuleNotFoundError("No module named 'sklearn'", name="sklearn")

    monkeypatch.setattr("scriptchain.training.learning_curve.fit_baseline", fit)
    assert run(["check", "emotions", "--learning-curve"]) == 2
    assert capsys.readouterr().err == (
        "error: --learning-curve (sklearn) needs the [train] extra; hint: pip install 'scriptchain[train]'\n"
    )


# --- data -----------------------------------------------------------------------------------------------------------


class Failing(io.RawIOBase):
    """A disk that gives so many bytes and then no more."""

    def __init__(self, content: bytes):
        self.content = content

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        if not self.content:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        part, self.content = self.content[: len(buffer)], self.content[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "data.csv cannot be read: Input/output error"),
     (b"text,label\na,b\n", "data.csv cannot be read after line 2: Input/output error")],
)  # fmt: skip
def test_d4_a_disk_that_stops_giving(content, message, monkeypatch):
    monkeypatch.setattr(files, "open_binary", lambda path, name: (io.BufferedReader(Failing(content)), True))
    assert said(ResourceError, lambda: records.read("data.csv")) == message


def test_no_text_has_no_scores():
    tokenizer = Tokenizer.train(["a b"], kind="word", vocab_size=10, min_frequency=1, lowercase=True, max_seq_len=4)
    run_nothing = lambda ids, mask: np.zeros((0, 2), np.float32)  # noqa: E731
    assert said(DataError, lambda: score_in_batches([], tokenizer, run_nothing)) == (
        "texts must hold at least one text, got none"
    )


def test_a_task_has_so_many_rows():
    assert said(UsageError, lambda: tasks.generate("roles", "test", 10**9)).startswith("rows must be at most ")


def test_no_row_can_be_examined():
    empty = records.from_python(["a"], ["b"]).subset([])
    assert said(DataError, lambda: texts.sample(empty, 5, 0)) == "the rows must hold texts to examine, got none"


# --- the lab --------------------------------------------------------------------------------------------------------


def test_few_points_make_no_law():
    assert said(UsageError, lambda: fit_laws([1.0, 2.0], [1.0, 2.0])) == "a law needs at least 5 positive points, got 2"


def test_a_claim_is_made_of_three_things():
    assert said(UsageError, lambda: Claim.parse("it is all too much")) == (
        "a claim must name one quantity (parameters, flops, memory, time), one law (linear, quadratic, exponential) "
        "and layers or length, or be a known one, got 'it is all too much'; "
        'hint: --claim "memory grows exponentially with layers", --claim "gradients vanish with layers"'
    )


class Counts(nn.Module):
    """Layers that never see a stream; `logits` answers, from the numbers behind them and the mask."""

    def __init__(self, logits):
        super().__init__()
        self.layers, self.logits = nn.ModuleList([nn.Identity(), nn.Identity()]), logits

    def forward(self, ids, mask):
        x = ids.float() * mask
        for layer in self.layers:
            x = layer(x)
        return self.logits(x)


@pytest.mark.parametrize(
    ("logits", "message"),
    [
        (lambda x: torch.stack([x.sum(1), -x.sum(1)], 1),
         "a layer must get and give a stream of shape (B, L, d), got none; hint: layers='...'"),
        (lambda x: x,
         "the module must return as many logits at every length, got 2 and 3; "
         "hint: forward=lambda module, inputs, mask: ..."),
    ],
    ids=["no stream", "no classes"],
)  # fmt: skip
def test_modules_that_cannot_be_examined(logits, message):
    batches = [(torch.ones(32, 3, dtype=torch.long), torch.ones(32, 3, dtype=torch.bool))]
    assert said(UsageError, lambda: lab.examine(Counts(logits), batches, layers="layers")) == message


def test_another_librarys_model_is_not_trained(tmp_path, monkeypatch):
    import transformers

    config = transformers.BertConfig(vocab_size=200, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
                                     intermediate_size=16)  # fmt: skip
    transformers.BertModel(config).save_pretrained(tmp_path)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghij"]
    (tmp_path / "vocab.txt").write_text("\n".join(words))
    transformers.BertTokenizerFast(str(tmp_path / "vocab.txt")).save_pretrained(tmp_path)
    assert said(UsageError, lambda: diagnose(str(tmp_path), depths=[1, 2], minutes=1.0, texts=32)) == (
        "training must have a config of scriptchain, got a model of another library"
    )


# --- run folders and checkpoints ------------------------------------------------------------------------------------


def a_file(header: object, content: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (a_file([]), "the header of m must be an object"),
        (a_file({"a": {"dtype": "F4", "shape": [1], "data_offsets": [0, 1]}}, b"0"),
         "m: the dtype of 'a' must be one of F64, F32, F16, I64, I32, U8, BOOL, got 'F4'"),
        (a_file({"a": {"dtype": "BOOL", "shape": [1], "data_offsets": [0, 1]}}, b"2"),
         "m: 'a' must hold 0 and 1, got another byte"),
        (a_file({"a": {"dtype": "BOOL", "shape": [1], "data_offsets": [0, 1]}}, b"\x01234"),
         "m must hold 1 bytes of tensors, got 4"),
    ],
    ids=["header", "dtype", "byte", "more"],
)  # fmt: skip
def test_m4_m5_tensors(content, message):
    assert said(ModelError, lambda: tensors.read(content, "m")) == message


def test_m6_a_baseline_that_is_not_finite():
    assert said(ModelError, lambda: Linear({}, np.zeros(0), np.zeros((1, 0)), np.array([np.inf]))) == (
        "the baseline's tensors must be finite, got NaN or infinity; hint: train the baseline again"
    )


class Lying:
    """An onnxruntime session whose answers are not what its shapes promise."""

    def __init__(self, real, answer):
        self.get_inputs, self.get_outputs, self.run = real.get_inputs, real.get_outputs, answer


def breaks(names, inputs):
    raise RuntimeError("Node (42) broke\nand more")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda names, inputs: [np.zeros((1, 3), np.float32)],
         "model.onnx must score 2 classes, got logits of shape (1, 3)"),
        (breaks, "model.onnx must take what config.json promises (Node (42) broke)"),
    ],
    ids=["classes", "breaks"],
)  # fmt: skip
def test_m13_a_model_that_answers_otherwise(answer, message, monkeypatch, tiny_run):
    real = onnxruntime.InferenceSession
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda *args, **more: Lying(real(*args, **more), answer))
    assert said(ModelError, lambda: Session(tiny_run, threads=1)) == message


def another_librarys(*given, **named):
    raise RuntimeError("what it found\nand where")


def test_m13_what_onnxruntime_refuses(monkeypatch, tiny_run):
    monkeypatch.setattr(onnxruntime, "InferenceSession", another_librarys)
    assert said(ModelError, lambda: Session(tiny_run, threads=1)) == (
        "model.onnx must be a model that onnxruntime loads (what it found)"
    )


def test_what_transformers_refuses(monkeypatch, tmp_path):
    import transformers

    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"")
    monkeypatch.setattr(transformers.AutoConfig, "from_pretrained", another_librarys)
    assert said(ModelError, lambda: diagnose(str(tmp_path), texts=32)) == (
        f"{tmp_path} must be a folder that transformers can load (what it found)"
    )


def test_t12_a_finished_run_whose_report_is_broken(tiny_data, tiny_run, tmp_path, capsys):
    shutil.copytree(tiny_run, tmp_path / "run")
    (tmp_path / "run" / "report.json").write_text("{")
    assert run(["train", str(tiny_data), "--output", str(tmp_path / "run"), "--resume"]) == 4
    assert capsys.readouterr().err == (
        f"error: {tmp_path / 'run' / 'report.json'} must be the report of a finished run; hint: --force\n"
    )


def test_t3_a_disk_that_is_full_when_the_model_is_written(tmp_path, monkeypatch):
    def full(folder, files):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("scriptchain.runtime.bundle.write", full)
    rows = records.from_python(*tasks.generate("negation", "train", 160))
    made = config.resolve("small", settings=TINY)
    assert said(ResourceError, lambda: train(rows, made, tmp_path / "run", device="cpu", threads=1)) == (
        f"{tmp_path / 'run-partial'} cannot be written (No space left on device)"
    )
    assert not (tmp_path / "run").exists()
    monkeypatch.undo()
    train(rows, made, tmp_path / "run", device="cpu", threads=1, resume=True)


def a_state() -> state.State:
    network = nn.Linear(2, 2)
    optimizer = torch.optim.AdamW(network.parameters())
    return state.State(network, optimizer, Average(network, 0.0), Best(0))


def test_t8_a_checkpoint_says_where_its_run_stood():
    one = a_state()
    assert said(ModelError, lambda: one.restore(one.tensors(), b'{"epoch": 1, "beach": 2}')) == (
        "a checkpoint must say where its run stood (Object contains unknown field `beach`)"
    )


def test_t8_a_checkpoint_fits_its_optimizer():
    one = a_state()
    parts = one.tensors() | {"optimizer.0.exp_avg": torch.zeros(3)}
    assert said(ModelError, lambda: one.restore(parts, one.numbers())) == (
        "a checkpoint must fit its optimizer, got optimizer.0.exp_avg (3,)"
    )
