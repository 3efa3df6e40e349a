"""Laws of an exported model: it answers as its run folder does, or is refused, and holds nothing else."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest

from scriptchain import Classifier, config
from scriptchain.__main__ import run
from scriptchain.data.records import Records, from_python, read
from scriptchain.errors import ModelError, ResourceError, ScriptChainError, UsageError
from scriptchain.export import artifact
from scriptchain.export.artifact import export
from scriptchain.export.onnx import to_onnx
from scriptchain.export.quantize import dynamic, static
from scriptchain.run import train
from scriptchain.runtime import graph
from scriptchain.runtime.session import Session, session_logits

from ..refusals import refusal
from ..tiny import TINY
from .test_onnx import TEXTS, built

HELD = ["config.json", "labels.json", "model.onnx", "tokenizer.json"]


@pytest.fixture(scope="module")
def sure_data(tmp_path_factory) -> Path:
    """Rows that words alone tell apart, so that no answer is a close call."""
    rng = np.random.default_rng(0)
    words = {"good": ["good", "fine", "lovely", "sunny", "kind"], "bad": ["bad", "awful", "dull", "rainy", "mean"]}
    rows = [f"{number} {' '.join(rng.choice(words[label], 3))} day,{label}" for number, label in
            enumerate(["good", "bad"] * 100)]  # fmt: skip
    path = tmp_path_factory.mktemp("data") / "sure.csv"
    path.write_text("\n".join(["text,label", *rows]) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def sure_run(sure_data, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "sure"
    made = config.resolve("small", settings=[*TINY, "epochs=8", "learning_rate=0.01", "weight_average=0"])
    train(read(sure_data), made, folder, device="cpu", threads=1)
    return folder


@pytest.fixture(scope="module")
def exports(sure_run: Path, sure_data: Path, tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("exports")
    for form in ("onnx", "int8"):
        export(sure_run, read(sure_data), folder / form, format=form, threads=1)
    return {form: folder / form for form in ("onnx", "int8")}


# --- numbers of 8 bits ---------------------------------------------------------------------------------------


def both_ways(floats: bytes, tokenizer) -> list[bytes]:
    return [dynamic(floats), static(floats, tokenizer, TEXTS)]


@pytest.mark.parametrize(
    "changes",
    [{}, {"positions": "none"}, {"positions": "shaw"}, {"positions": "fire"},
     {"pooling": "attention", "pooled_layers": 2},
     {"residual": "post_norm", "embedding_norm": True, "head_layers": [8], "tokenizer": "word", "min_frequency": 1}],
    ids=str,
)  # fmt: skip
def test_eight_bits_answer_nearly_as_floats_do_alone_and_in_batches(changes):
    network, tokenizer = built(changes)
    floats = to_onnx(network, tokenizer)
    theirs = session_logits(floats, tokenizer, threads=1)
    spread = theirs(TEXTS).std()
    for content in both_ways(floats, tokenizer):
        graph.check(content, "model.onnx", ("encoder.tokens.weight", tokenizer.vocab_size))
        ours = session_logits(content, tokenizer, threads=1)
        for texts in (TEXTS, TEXTS[:1], TEXTS[2:3], TEXTS * 5):
            assert np.abs(ours(texts) - theirs(texts)).max() < 0.25 * spread
        assert np.abs(ours(TEXTS) - theirs(TEXTS)).max() > 0  # or nothing was done


def test_matrices_and_embeddings_take_a_byte_a_number_and_seven_bits_of_it():
    network, tokenizer = built({"d_model": 64, "d_feedforward": 128, "num_heads": 4})
    matrices = sum(one.ndim >= 2 and one.numel() >= 4096 for one in network.encoder.parameters())
    for content in both_ways(to_onnx(network, tokenizer), tokenizer):
        model = onnx.load_from_string(content)
        held = {one.name: onnx.numpy_helper.to_array(one) for one in model.graph.initializer}
        large = {name: one for name, one in held.items() if one.ndim == 2 and one.size >= 4096}
        assert len(large) == matrices >= 9
        assert {one.dtype.itemsize for one in large.values()} == {1}
        signed = [one for one in large.values() if one.dtype == np.int8]
        assert len(signed) >= 2 * 4
        assert max(int(np.abs(one.astype(int)).max()) for one in signed) == 64
        assert {one.dtype for name, one in held.items() if name.startswith("head.")} == {np.dtype(np.float32)}


def test_the_same_network_gives_the_same_bytes_of_8_bits_and_nothing_of_the_host(caplog):
    network, tokenizer = built({})
    floats = to_onnx(network, tokenizer)
    caplog.clear()
    for one, other in zip(both_ways(floats, tokenizer), both_ways(floats, tokenizer), strict=True):
        assert one == other
        assert os.getcwd().encode() not in one
        assert b"/tmp" not in one
    assert caplog.text == ""


# --- the folder ----------------------------------------------------------------------------------------------


def test_an_export_holds_what_answers_and_nothing_else(exports, sure_run):
    for folder in exports.values():
        assert sorted(path.name for path in folder.iterdir()) == sorted(
            [*HELD, "manifest.json", "report.json", "README.md"]
        )
    assert (exports["onnx"] / "model.onnx").read_bytes() == (sure_run / "model.onnx").read_bytes()
    ours, theirs = ((folder / "tokenizer.json").read_bytes() for folder in (exports["onnx"], sure_run))
    assert json.loads(ours) == json.loads(theirs)
    assert len(ours) < len(theirs)


@pytest.mark.parametrize("form", ["onnx", "int8"])
def test_an_export_answers_as_its_run_folder_does(form, exports, sure_run, sure_data):
    texts = read(sure_data).texts
    ours, theirs = (Session(folder, threads=1).probabilities(texts) for folder in (exports[form], sure_run))
    np.testing.assert_allclose(ours, theirs, atol=1e-6 if form == "onnx" else 0.03)
    assert Classifier.from_pretrained(exports[form]).predict(texts[:3]).tolist() == [
        Session(sure_run).labels.names[number] for number in theirs[:3].argmax(1)
    ]


def test_the_report_says_size_time_and_scores_before_and_after(sure_run, sure_data, tmp_path, capsys):
    assert run(["export", str(sure_run), "--data", str(sure_data), "--format", "onnx,int8", "--output", "x"]) == 2
    capsys.readouterr()
    copy = shutil.copytree(sure_run, tmp_path / "run")
    command = ["export", str(copy), "--data", str(sure_data), "--format", "onnx,int8", "--threads", "1", "--json"]
    assert run(command) == 0
    floats, bits = json.loads(capsys.readouterr().out)["exports"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "run-int8", "run-onnx"]
    assert (floats["format"], floats["way"], floats["agreement"]) == ("onnx", "float32", 1.0)
    assert floats["probability_difference"] < 1e-6
    assert set(bits["ways"]) == {"dynamic", "static"}
    assert bits["agreement"] == max(way["agreement"] for way in bits["ways"].values()) >= 0.995
    for told, folder in ((floats, "run-onnx"), (bits, "run-int8")):
        assert told["rows"] == 200
        assert told["training_rows"] == int(Session(copy).bundle.saw(read(sure_data).texts).sum()) > 0
        assert told["after"]["bytes"] == sum((tmp_path / folder / name).stat().st_size for name in HELD)
        assert told["difference"]["accuracy"]["value"] == pytest.approx(
            told["after"]["metrics"]["accuracy"]["value"] - told["before"]["metrics"]["accuracy"]["value"]
        )
        assert json.loads((tmp_path / folder / "report.json").read_text()) == told
    assert bits["after"]["bytes"] < floats["after"]["bytes"]


def test_rows_without_labels_prove_it_too(sure_run, sure_data, tmp_path):
    rows = read(sure_data)
    report = export(sure_run, Records(rows.texts, None, rows.lines, rows.source), tmp_path / "new", format="int8")
    assert report["difference"] is report["before"]["metrics"] is report["after"]["metrics"] is None
    assert "accuracy" not in report.to_markdown()


def test_an_export_says_what_it_cannot_know(exports, sure_run, sure_data, capsys):
    assert run(["evaluate", str(exports["int8"]), str(sure_data), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["leaks"] == {"rows": None, "metrics_without": None}
    assert set(report["baselines"]) == {"majority"}
    assert report["unfamiliar"] is None
    assert run(["evaluate", str(exports["int8"]), str(sure_data)]) == 0
    assert "leaks: unknown, an exported model does not keep what it learned from" in capsys.readouterr().out
    assert run(["evaluate", str(sure_run), str(exports["int8"]), str(sure_data), "--json"]) == 0
    both = [model["leaked_rows"] for model in json.loads(capsys.readouterr().out)["models"]]
    assert both[0] > 0
    assert both[1] is None
    assert run(["info", str(exports["int8"])]) == 0
    assert "exported; 2 classes" in capsys.readouterr().out
    for command in (["evaluate", exports["int8"], sure_data, "--strict"],
                    ["evaluate", sure_run, exports["int8"], sure_data, "--strict"]):  # fmt: skip
        assert refusal(exports["int8"], capsys, *command) == (
            2, "--strict must be asked of run folders, which keep what they learned from, got an export"
        )  # fmt: skip


# --- refused -------------------------------------------------------------------------------------------------


def test_too_few_labels_that_stay_are_refused_with_their_figures(sure_run, sure_data, tmp_path, monkeypatch):
    def spoiled(content: bytes, *_: object) -> bytes:
        model = onnx.load_from_string(content)
        for one in model.graph.initializer:
            if one.name.startswith("head") and len(one.dims) == 2:
                one.CopyFrom(onnx.numpy_helper.from_array(-onnx.numpy_helper.to_array(one), one.name))
        return model.SerializeToString()

    monkeypatch.setattr(artifact, "static", spoiled)
    kept = export(sure_run, read(sure_data), tmp_path / "kept", format="int8", threads=1)
    assert kept["way"] == "dynamic"
    assert kept["ways"]["static"]["agreement"] < 0.9
    monkeypatch.setattr(artifact, "dynamic", spoiled)
    with pytest.raises(ModelError) as caught:
        export(sure_run, read(sure_data), tmp_path / "new", format="int8", threads=1)
    share = f"{100 * kept['ways']['static']['agreement']:.1f} %"
    assert str(caught.value) == (
        f"int8 must keep 99.5 % of the labels, got {share} (dynamic) and {share} (static) on 200 rows; "
        "hint: --format onnx"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_floats_that_are_not_the_trained_ones_are_refused(sure_run, sure_data, tmp_path, monkeypatch):
    def other(bundle):
        network = real(bundle)
        next(network.head.parameters()).data.add_(0.5)
        return network

    real = artifact.network_of
    monkeypatch.setattr(artifact, "network_of", other)
    with pytest.raises(ScriptChainError) as caught:
        export(sure_run, read(sure_data), tmp_path / "new", format="onnx", threads=1)
    assert str(caught.value).startswith("the exported model must agree with the trained one, got a difference of")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("form", ["onnx", "int8"])
def test_an_export_is_not_exported_again_nor_taught_from_nor_examined(form, exports, sure_data, tmp_path, capsys):
    folder = exports[form]
    for command in (["export", folder, "--data", sure_data, "--output", tmp_path / "new"],
                    ["diagnose", folder, "--data", sure_data],
                    ["distill", folder, "--data", sure_data, "--output", tmp_path / "new", "--quiet"]):  # fmt: skip
        code, line = refusal(tmp_path, capsys, *command)
        assert code == 4
        assert line.startswith(f"{folder} must be a whole run folder, got an export without ")
        assert line.endswith("; hint: the run folder that it was made from")


def test_what_cannot_be_exported_is_one_line(sure_run, sure_data, tmp_path, capsys):
    def refused(*arguments):
        return refusal(tmp_path, capsys, "export", *arguments)

    rows = ["--data", sure_data]
    assert refused(sure_run, *rows, "--format", "pickle", "--output", tmp_path / "new") == (
        2, "--format must be of onnx, int8, got 'pickle'")  # fmt: skip
    assert refused(sure_run, *rows, "--format", "onnx,int8", "--output", tmp_path / "new") == (
        2, "--output must come with one --format, got 'onnx,int8'")  # fmt: skip
    copy = shutil.copytree(sure_run, tmp_path / "run")
    assert refused(copy, *rows, "--format", "int8,pickle") == (2, "--format must be of onnx, int8, got 'pickle'")
    assert refused(copy, *rows, "--output", tmp_path / "x" / ".." / "run", "--force") == (
        2, f"--output must not be the MODEL, got '{tmp_path}/x/../run' twice")  # fmt: skip
    (tmp_path / "taken").mkdir()
    assert refused(sure_run, *rows, "--output", tmp_path / "taken") == (
        2, f"--output must not exist yet, got '{tmp_path}/taken'; hint: --force replaces it")  # fmt: skip


def test_a_linear_model_has_nothing_to_export(tmp_path, capsys):
    texts, labels = ["good day", "fine day", "bad day", "sad day"] * 10, ["up", "up", "down", "down"] * 10
    Classifier("linear").fit(texts, labels).save_pretrained(tmp_path / "run")
    with pytest.raises(ModelError) as caught:
        export(tmp_path / "run", from_python(texts, labels, labels_required=True), tmp_path / "new", format="onnx")
    assert str(caught.value) == (
        f"{tmp_path}/run must hold an encoder to be exported, got a linear model; "
        "hint: its run folder is small already; predict needs no torch"
    )


def test_a_full_disk_leaves_nothing_and_what_was_there(sure_run, sure_data, exports, tmp_path, monkeypatch):
    folder = shutil.copytree(exports["int8"], tmp_path / "new")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("scriptchain.durable.publish", full)
    with pytest.raises(ResourceError) as caught:
        export(sure_run, read(sure_data), folder, format="int8", threads=1)
    assert str(caught.value) == f"{folder} cannot be written (No space left on device)"
    assert [path.name for path in tmp_path.iterdir()] == ["new"]
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_run_folder_that_has_lost_a_part_is_no_export(sure_run, tmp_path):
    folder = shutil.copytree(sure_run, tmp_path / "run")
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["files"]["fingerprints.bin"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ModelError) as caught:
        Session(folder)
    assert str(caught.value) == (
        f"{folder}/manifest.json must name all files of a run folder, got none of the name fingerprints.bin"
    )


def test_a_format_that_does_not_exist_is_refused_in_python_too(sure_run, sure_data, tmp_path):
    with pytest.raises(UsageError):
        export(sure_run, read(sure_data), tmp_path / "new", format="pt")
