"""A run folder's model made ready to ship: what answers and nothing else, in floats or in numbers of 8 bits.

It takes its name when it has been shown on real rows that it answers as the run folder does: a float model gives every
label, one of 8 bits at least 99.5 % of them.
"""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from .. import durable
from ..data.records import Records
from ..errors import ModelError, ResourceError, UsageError
from ..model.pipeline import network_of, torch_logits
from ..report import Report, Table, megabytes, percent, with_interval
from ..runtime import bundle
from ..runtime.session import Logits, Session, milliseconds, session_logits, softmax
from ..scoring.intervals import accuracy_interval, macro_f1_interval, paired_difference
from .onnx import verify
from .quantize import dynamic, static

FORMATS = {"onnx": 1.0, "int8": 0.995}  # the share of the labels that must stay
# Rows at most that set the ranges of 8 bits, that the proof is made on, and of these that are also asked one by one.
CALIBRATION, PROOF, ALONE = 256, 10_000, 64


@dataclass(frozen=True)
class _Candidate:
    """One way to write the network down, and what it answers on the rows of the proof."""

    way: str
    content: bytes
    answer: Logits
    probabilities: NDArray[np.float32]
    agreement: float
    difference: float


def export(model: Path, rows: Records, output: Path, *, format: str, threads: int | None = None) -> Report:
    """Writes the folder `output`, which `predict`, `evaluate` and `from_pretrained` read, over what stood there.

    `rows` are texts as the model will meet them, at best those it was trained on: ranges are taken from some of these,
    and the proof is made on 10,000 at most. With labels the report gives the accuracy before and after too.

    *Raises*: UsageError for a format that does not exist; ModelError for a linear model, which has no ONNX file, for a
    folder that does not hold its weights, and where too few labels stay; ResourceError where it cannot be written.
    """
    check_request(model, output, format)
    session = Session(model, threads=threads)
    if session.config.model == "linear":
        raise ModelError(f"{model} must hold an encoder to be exported, got a linear model",
                         hint="its run folder is small already; predict needs no torch")  # fmt: skip
    content, tokenizer = session.bundle.read("model.onnx"), session.bundle.tokenizer
    seen, proof = session.bundle.saw, rows.sample(PROOF, seed=0)

    def candidate(way: str, content: bytes) -> _Candidate:
        answer = session_logits(content, tokenizer, threads, classes=len(session.labels))
        after = softmax(answer(proof.texts))
        alone = np.concatenate([answer([text]) for text in proof.texts[:ALONE]])  # what others come with may count
        found = np.concatenate([after.argmax(1), alone.argmax(1)])
        same = float((found == np.concatenate([before.argmax(1), before[:ALONE].argmax(1)])).mean())
        return _Candidate(way, content, answer, after, same, float(np.abs(after - before).max()))

    if format == "onnx":
        network = network_of(session.bundle)  # what the file came from is what it is held against
        verify(content, network, tokenizer, proof.texts)
        before = softmax(torch_logits(network, tokenizer)(proof.texts))
        found = [candidate("float32", content)]
    else:
        before = softmax(session.logits(proof.texts))
        known = np.flatnonzero(seen(rows.texts))
        own = rows.subset(known) if len(known) else rows
        texts = own.sample(CALIBRATION, seed=0).texts
        found = [candidate("dynamic", dynamic(content)), candidate("static", static(content, tokenizer, texts))]
    best = max(found, key=lambda one: (one.agreement, -one.difference))
    if best.agreement < FORMATS[format]:
        raise ModelError(
            f"{format} must keep {percent(FORMATS[format])} of the labels, got "
            f"{' and '.join(f'{percent(one.agreement)} ({one.way})' for one in found)} on {len(proof):,} rows",
            hint="--format onnx" if format == "int8" else None,
        )
    files = {name: session.bundle.read(name) for name in ("config.json", "labels.json", "tokenizer.json")}
    # By the letter what it was, without the spaces that people read it by.
    files["tokenizer.json"] = msgspec.json.format(files["tokenizer.json"], indent=-1)
    size = sum(map(len, files.values()))
    told = {
        "model": str(model), "output": str(output), "format": format, "way": best.way, "file": rows.source,
        "rows": len(proof), "training_rows": int(seen(proof.texts).sum()),
        "agreement": best.agreement, "probability_difference": best.difference,
        "ways": {one.way: {"agreement": one.agreement, "probability_difference": one.difference} for one in found},
        "before": _figures(session, proof, before, size + len(content), session.logits),
        "after": _figures(session, proof, best.probabilities, size + len(best.content), best.answer),
        "difference": _difference(session, proof, before, best.probabilities),
    }  # fmt: skip
    report = Report(f"{output}: {format} of {model}, proven on {len(proof):,} rows", told, _body(told))
    _write(output, files | {"model.onnx": best.content}, report)
    return report


def check_request(model: Path, output: Path, format: str) -> None:
    """Raises UsageError for a format that does not exist, or an export that would take the place of its run folder."""
    if format not in FORMATS:
        raise UsageError(f"--format must be of {', '.join(FORMATS)}, got {format[:40]!r}")
    if output.resolve() == model.resolve():
        raise UsageError(f"--output must not be the MODEL, got {str(output)!r} twice")


def _figures(
    session: Session, rows: Records, probabilities: NDArray[np.float32], size: int, answer: Logits
) -> dict[str, Any]:
    found: dict[str, Any] = {"bytes": size, "milliseconds": milliseconds(answer, rows.texts), "metrics": None}
    if rows.labels is not None:
        truth, predicted = session.labels.index(rows.labels), probabilities.argmax(1)
        found["metrics"] = {
            "accuracy": accuracy_interval(truth, predicted),
            "macro_f1": macro_f1_interval(truth, predicted, len(session.labels)),
        }
    return found


def _difference(
    session: Session, rows: Records, before: NDArray[np.float32], after: NDArray[np.float32]
) -> dict[str, Any] | None:
    """Scores after minus before, paired by row."""
    if rows.labels is None:
        return None
    truth, classes = session.labels.index(rows.labels), len(session.labels)
    return {
        metric: paired_difference(truth, after.argmax(1), before.argmax(1), classes, metric=metric)
        for metric in ("accuracy", "macro_f1")
    }


def _body(told: dict[str, Any]) -> list[Table | str]:
    cells = []
    for name in ("before", "after"):
        one = told[name]
        scores = [with_interval(one["metrics"][key]) for key in ("accuracy", "macro_f1")] if one["metrics"] else []
        cells.append([name, megabytes(one["bytes"]), f"{one['milliseconds']:.2f}", *scores])
    scores = ["accuracy", "macro-F1"] if told["difference"] else []
    body: list[Table | str] = [
        Table("model", ["", "size", "ms a text", *scores], cells,
              note="size: network, vocabulary, config and class names; ms: one text alone, the median of 64"),
        f"labels: {percent(told['agreement'])} as before ({told['way']}); the largest difference of a probability is "
        f"{told['probability_difference']:.3g}",
    ]  # fmt: skip
    if told["difference"]:
        accuracy, macro = (with_interval(told["difference"][key]) for key in ("accuracy", "macro_f1"))
        body.append(f"after minus before: accuracy {accuracy}, macro-F1 {macro}")
    if told["training_rows"]:
        body.append(f"note: {told['training_rows']:,} of the rows stand in the training set, so its scores flatter it")
    return body


def _write(output: Path, files: dict[str, bytes], report: Report) -> None:
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{output.name}.", suffix=durable.TEMPORARY, dir=output.parent))
        try:
            work.chmod(0o755)
            bundle.write(work, files)
            durable.write(work / "report.json", (report.to_json(indent=1) + "\n").encode())
            durable.write(work / "README.md", report.to_markdown().encode())
            durable.publish(work, output)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    except OSError as error:
        raise ResourceError(f"{output} cannot be written ({error.strerror})") from None
