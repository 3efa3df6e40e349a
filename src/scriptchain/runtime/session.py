"""What answers for a finished model everywhere, without torch: onnxruntime, or numpy for a linear one."""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypedDict, overload

import numpy as np
from numpy.typing import NDArray

from ..config import Config
from ..data.batches import require, score_in_batches
from ..data.labels import Labels
from ..data.tokenizer import Tokenizer
from ..errors import ModelError, first_line
from ..scoring.familiarity import Familiarity
from . import graph
from .bundle import Bundle
from .linear import Linear

TIMED = 64  # texts that the latency is measured on
TOKENS = 1024  # of a batch: what it computes then stays in a core's caches, which is worth more than a larger product
Logits = Callable[[Sequence[str]], NDArray[np.float32]]


class Said(TypedDict):
    """The likeliest class, its probability, and the probability of each."""

    label: str
    score: float
    scores: dict[str, float]


class Session:
    """A loaded run folder. Threads are those of onnxruntime's own pool; None takes one a core.

    *Raises*: ModelError for a folder that is not one of ours or was changed since it was written.
    """

    def __init__(self, folder: str | os.PathLike[str], *, threads: int | None = None):
        self.bundle = Bundle(Path(folder))
        self.config: Config = self.bundle.config
        self.labels: Labels = self.bundle.labels
        if self.config.model == "linear":
            self._logits = linear_logits(self.bundle.baseline)
            return
        onnx = self.bundle.read("model.onnx")
        tokenizer = self.bundle.tokenizer
        graph.check(onnx, "model.onnx", ("encoder.tokens.weight", tokenizer.vocab_size))
        self._logits = session_logits(onnx, tokenizer, threads, classes=len(self.labels))

    @overload
    def __call__(self, texts: str) -> Said: ...
    @overload
    def __call__(self, texts: list[str]) -> list[Said]: ...
    def __call__(self, texts: str | list[str]) -> Said | list[Said]:
        """What is said of a text, or of each of several. Raises DataError for none."""
        names = self.labels.names
        scored = self.probabilities([texts] if isinstance(texts, str) else texts).tolist()
        said: list[Said] = [
            {"label": names[one.index(max(one))], "score": max(one), "scores": dict(zip(names, one, strict=True))}
            for one in scored
        ]
        return said[0] if isinstance(texts, str) else said

    def logits(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Shape `(N, C)`, in the order of the texts."""
        return self._logits(texts)

    def probabilities(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Shape `(N, C)`; each row sums to 1."""
        return softmax(self.logits(texts))

    def baseline_logits(self, texts: Sequence[str]) -> NDArray[np.floating] | None:
        """What the stored TF-IDF + logistic regression says; None of an exported model, which has none."""
        return None if not self.bundle.has("baseline.json") else self.bundle.baseline.logits(texts)

    @property
    def held_out(self) -> Familiarity | None:
        """What the texts held out of training were like; None where there were none, and of an exported model."""
        return self.bundle.familiarity

    def surprise(self, texts: Sequence[str]) -> NDArray[np.floating]:
        """How rare the words of each text were in training, `(N,)`."""
        return self.bundle.baseline.surprise(texts)

    def saw(self, texts: Sequence[str]) -> NDArray[np.bool_] | None:
        """Which texts stand in the training set; None of an exported model, which does not keep them."""
        return self.bundle.saw(texts) if self.bundle.has("fingerprints.bin") else None

    def truncated(self, texts: Sequence[str]) -> list[bool]:
        """Which texts are longer than max_seq_len; a linear model reads all of every text."""
        if self.config.model == "linear":
            return [False] * len(texts)
        return self.bundle.tokenizer.encode(texts).truncated.tolist()

    def count_truncated(self, texts: Sequence[str]) -> int:
        return sum(self.truncated(texts))


def linear_logits(linear: Linear) -> Logits:
    """Texts to the logits of a linear model."""

    def logits(texts: Sequence[str]) -> NDArray[np.float32]:
        require(texts)
        return linear.logits(texts).astype(np.float32)

    return logits


def session_logits(onnx: bytes, tokenizer: Tokenizer, threads: int | None = None, classes: int | None = None) -> Logits:
    """Texts to logits by a serialized ONNX model.

    *Raises*: ModelError if onnxruntime refuses it, or it does not turn ids and mask into as many logits as `classes`.
    """
    session = onnx_session(onnx, threads)
    shapes = {one.name: (one.type, len(one.shape)) for one in (*session.get_inputs(), *session.get_outputs())}
    if shapes != {"ids": ("tensor(int64)", 2), "mask": ("tensor(bool)", 2), "logits": ("tensor(float)", 2)}:
        raise ModelError(f"model.onnx must turn ids and mask into logits, got {shapes}")

    def run(ids: NDArray[np.int64], mask: NDArray[np.bool_]) -> NDArray[np.float32]:
        try:
            return np.asarray(session.run(["logits"], {"ids": ids, "mask": mask})[0])
        except Exception as error:
            raise ModelError(f"model.onnx must take what config.json promises ({first_line(error)})") from None

    if classes is not None:
        found = run(np.array([[tokenizer.vocab_size - 1]]), np.array([[True]])).shape
        if found != (1, classes):
            raise ModelError(f"model.onnx must score {classes} classes, got logits of shape {found}")
    return lambda texts: score_in_batches(texts, tokenizer, run, TOKENS)


def onnx_session(onnx: bytes, threads: int | None) -> Any:
    """The onnxruntime session of a serialized model. Raises ModelError where it is refused."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads or 0
    try:
        return onnxruntime.InferenceSession(
            onnx, options, providers=["CPUExecutionProvider"],
            disabled_optimizers=["SkipLayerNormFusion"],  # on a CPU eight times as slow as what it replaces
        )  # fmt: skip
    except Exception as error:
        raise ModelError(f"model.onnx must be a model that onnxruntime loads ({first_line(error)})") from None


def milliseconds(logits: Logits, texts: Sequence[str]) -> float:
    """What one text alone takes from text to logits, the median of the first 64; the first also warms up."""
    times = []
    for text in [texts[0], *texts[:TIMED]]:
        start = time.perf_counter()
        logits([text])
        times.append(1000 * (time.perf_counter() - start))
    return float(np.median(times[1:]))


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probabilities along the last axis."""
    raised = np.exp(logits - logits.max(-1, keepdims=True))
    return raised / raised.sum(-1, keepdims=True)
