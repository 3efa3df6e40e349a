"""M1 to M16: a run folder that somebody changed is refused in one line, and nothing in it is ever run or followed."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load, save

from scriptchain import config
from scriptchain.__main__ import run
from scriptchain.data.records import from_python
from scriptchain.errors import ModelError
from scriptchain.run import train
from scriptchain.runtime import bundle, documents, graph, tensors
from scriptchain.runtime.bundle import Bundle
from scriptchain.runtime.session import Session

from ..tiny import TINY
from . import bundles
from .bundles import Case, seal, tried

UNSAFE = re.compile(
    r"(import|from) (pickle|dill|cloudpickle|marshal|shelve)\b|pickle\.load|torch\.(load|save)\b"
    r"|joblib|allow_pickle|(?<![\w.])(eval|exec)\("
)


class Blind:
    """For cases whose refusal alone is looked at; what they run is watched in a process of its own."""

    folder = ""
    seen: tuple[str, ...] = ()


@pytest.fixture(scope="module")
def everything() -> list[Case]:
    return bundles.cases()


@pytest.fixture
def refused(tiny_run, everything):
    """Tries all cases of a family whose names hold one of the words, and says how many there were."""

    def check(family: str, *words: str, every: int = 1) -> int:
        chosen = [
            one for one in everything if one.family == family and (not words or any(w in one.what for w in words))
        ]
        wrong = [
            (one.case.what, one.wrong)
            for one in (tried(case, tiny_run, Blind()) for case in chosen[::every])
            if one.wrong
        ]
        assert wrong == []
        return len(chosen[::every])

    return check


def test_m1_truncated_and_extended_files(refused):
    assert refused("truncated", every=9) >= 60
    assert refused("extended") == 27


def test_m2_flipped_bits(refused):
    assert refused("flipped", every=5) >= 60


def test_m3_headers_of_impossible_sizes(refused):
    assert refused("tensors", "a header of") == 12


def test_m4_keys_that_stand_twice(refused):
    assert refused("tensors", "a key twice") == 3
    assert refused("config", "a key twice") == refused("manifest", "a key twice") == 1


def test_m5_spans_that_overlap_leave_holes_or_overflow(refused):
    assert refused("tensors", "span", "hole", "shared", "inside another", "shape", "byte") >= 20


def test_m6_weights_that_are_not_finite(refused):
    assert refused("tensors", "NaN", "infinity") >= 6
    assert refused("graph", "not a number", "infinite") == 2


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda found: {name: found[name] for name in list(found)[1:]}, "no "),
        (lambda found: found | {"extra": np.zeros(3, np.float32)}, "extra, which is none of the model's"),
        (lambda found: found | {"head.mlp.1.bias": np.zeros(5, np.float32)},
         "head.mlp.1.bias as float32 (5,) for float32 (2,)"),
        (lambda found: found | {"head.mlp.1.bias": np.zeros(2, np.int32)},
         "head.mlp.1.bias as int32 (2,) for float32 (2,)"),
    ],
    ids=["missing", "extra", "shape", "dtype"],
)  # fmt: skip
def test_m7_tensors_that_are_not_the_models(change, told, tiny_run, tmp_path, capsys):
    folder = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    found = change(load((folder / "model.safetensors").read_bytes()))
    (folder / "model.safetensors").write_bytes(save(found))
    seal(folder)
    assert run(["diagnose", str(folder), "--quiet"]) == 4
    err = capsys.readouterr().err
    assert err.startswith("error: model.safetensors must hold the model's tensors, got ")
    assert told in err
    assert len(err.splitlines()) == 1


def test_m8_other_formats_under_our_names(refused):
    assert refused("swapped") >= 100


def test_m8_no_path_leads_to_a_pickle():
    """Not even an import: the package's own sources and what a loaded folder needs."""
    code = (
        "import sys; from scriptchain.runtime.session import Session; from pathlib import Path; "
        "Session(Path(sys.argv[1])); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, "nowhere"], capture_output=True, text=True)
    assert "ModelError" in done.stderr
    for file in Path(bundle.__file__).parents[1].rglob("*.py"):
        assert not UNSAFE.search(file.read_text("utf-8")), file


def test_m9_configs(refused):
    assert refused("config") >= 30


def test_m10_vocabularies(refused):
    assert refused("vocabulary") >= 30


def test_m11_labels(refused):
    assert refused("labels") >= 12


def test_m11_labels_that_are_html_or_formulas_are_shown_as_text(tmp_path):
    names = ["`<script>alert(1)</script>", "=cmd|' /C calc'!A0"]
    texts = [f"{'good' if n % 2 else 'bad'} number {n}" for n in range(60)]
    rows = from_python(texts, [names[n % 2] for n in range(60)])
    train(rows, config.resolve("small", settings=TINY), tmp_path / "run", device="cpu", threads=1)
    page = (tmp_path / "run" / "report.html").read_text("utf-8")
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    card = (tmp_path / "run" / "README.md").read_text("utf-8")
    assert "`'<script>alert(1)</script>`" in card  # inside a code span nothing is a tag
    assert "<script>" not in re.sub("`[^`]*`", "", card)
    texts = ["good number 1", "bad number 2"]
    output = tmp_path / "out.csv"
    assert run(["predict", str(tmp_path / "run"), *texts, "--output", str(output), "--all"]) == 0
    assert all(not cell.startswith("=") for line in output.read_text().splitlines() for cell in line.split(","))


def test_m12_links_and_devices(refused):
    assert refused("links") == 80


def test_m12_a_hub_cache_of_links_is_a_folder(tiny_run, tmp_path):
    """Files that are links inside the folder that was resolved are its files."""
    folder = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    (folder / "blobs").mkdir()
    for number, name in enumerate((*bundles.FILES, "manifest.json")):
        (folder / name).rename(folder / "blobs" / str(number))
        (folder / name).symlink_to(f"blobs/{number}")
    (tmp_path / "snapshot").symlink_to("run")
    bundles.load_everything(tmp_path / "snapshot")


def test_m13_graphs(refused):
    assert refused("graph") >= 24


def test_m13_every_encoding_is_a_graph_that_passes(tiny_run):
    """The closed list of fields is not closer than what is written: see the parity tests for all 26."""
    content = (tiny_run / "model.onnx").read_bytes()
    tokenizer = Session(tiny_run).bundle.tokenizer
    graph.check(content, "model.onnx", ("encoder.tokens.weight", tokenizer.vocab_size))
    with pytest.raises(ModelError, match="an embedding for each of 7 tokens, got"):
        graph.check(content, "model.onnx", ("encoder.tokens.weight", 7))


def test_m14_manifests(refused):
    assert refused("manifest") >= 50
    assert refused("missing") == 10


def test_m14_another_version_says_what_to_do(tiny_run, tmp_path):
    folder = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    manifest = json.loads((folder / "manifest.json").read_bytes())
    assert manifest["format"] == bundle.FORMAT == 1  # the only one there has been: nothing is to be migrated yet
    for number, hint in ((2, "upgrade scriptchain"), (0, "train it again")):
        (folder / "manifest.json").write_text(json.dumps(manifest | {"format": number, "signature": "of a newer one"}))
        with pytest.raises(ModelError) as caught:
            Bundle(folder)
        assert str(caught.value) == f"{folder}: the format must be 1, got {number}; hint: {hint}"


def test_m15_what_is_hashed_is_what_is_used(tiny_run, tmp_path, monkeypatch):
    """Each file is replaced the moment it is hashed, and the model that was there answers."""
    folder = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    expected = Session(tiny_run, threads=1).probabilities(["the food was good"])
    real = hashlib.sha256

    def swapping(content: bytes):
        for name in bundles.FILES:
            if (folder / name).read_bytes() == content:
                (folder / name).write_bytes(b"swapped")
        return real(content)

    monkeypatch.setattr(bundle.hashlib, "sha256", swapping)
    session = Session(folder, threads=1)
    assert (folder / "model.onnx").read_bytes() == b"swapped"
    assert (session.probabilities(["the food was good"]) == expected).all()


def test_m15_a_file_that_changes_while_it_is_read(tiny_run, tmp_path, monkeypatch):
    folder = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    real = os.fstat

    def growing(handle: int):
        found = real(handle)
        with (folder / "manifest.json").open("ab") as file:
            file.write(b" ")
        return found

    monkeypatch.setattr(bundle.os, "fstat", growing)
    with pytest.raises(ModelError, match=r"manifest\.json must stay as it is while it is read"):
        Bundle(folder)


def test_m16_nothing_is_run_or_opened_outside(tiny_run):
    """All cases in a process with an audit hook, which cannot be removed."""
    done = subprocess.run(
        [sys.executable, bundles.__file__, tiny_run], capture_output=True, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2_000:] + done.stderr[-2_000:]
    summary = json.loads(done.stdout.splitlines()[-1])
    assert summary["wrong"] == 0
    assert summary["cases"] >= 1_000
    assert summary["families"] >= 12
    # Twice the folder, and the two megabytes of the largest documents, read and parsed.
    assert summary["peak"] - summary["peak_before"] < 2 * summary["folder"] + 16 * 2**20
    assert summary["longest"] < 2


# --- planted faults: each check that is switched off lets its cases through ------------------------------------------


def wrong(case: Case, tiny_run: Path) -> str:
    return tried(case, tiny_run, Blind()).wrong


def one(everything: list[Case], family: str, words: str) -> Case:
    return next(case for case in everything if case.family == family and words in case.what)


@pytest.mark.parametrize(
    ("family", "words", "plant"),
    [
        (
            "flipped",
            "fingerprints.bin",
            lambda patch: patch.setattr(Bundle, "read", lambda self, name: self._bytes(name)),
        ),
        ("tensors", "minus infinity in model", lambda patch: patch.setattr(tensors.np, "isfinite", lambda _: np.True_)),
        ("tensors", "a key twice in model", lambda patch: patch.setattr(documents, "_distinct", dict)),
        (
            "links",
            "a link outside as model.onnx",
            lambda patch: patch.setattr(bundle.os.path, "realpath", lambda _: "/"),
        ),
        (
            "vocabulary",
            "another pre_tokenizer",
            lambda patch: patch.setattr("scriptchain.data.tokenizer._agree", lambda *_: True),
        ),
        ("graph", "training", lambda patch: patch.setattr(graph, "check", lambda *_: None)),
    ],
    ids=["hash", "finite", "twice", "links", "regex", "graph"],
)
def test_m_a_planted_fault_is_found(family, words, plant, everything, tiny_run, monkeypatch):
    case = one(everything, family, words)
    assert wrong(case, tiny_run) == ""
    plant(monkeypatch)
    assert wrong(case, tiny_run) != ""
