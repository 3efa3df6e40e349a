"""What `fit` leaves in memory, until it is saved and loaded: a network or a linear model, and the rows it knows."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .config import Config
from .data.labels import Labels
from .data.records import Records
from .data.tokenizer import Tokenizer
from .report import Stream
from .runtime import bundle
from .runtime.linear import Linear
from .runtime.session import Logits, linear_logits, session_logits
from .scoring.familiarity import Familiarity, evenly

if TYPE_CHECKING:
    from .model.pipeline import Network
    from .training.loop import Outcome


class Fitted:
    """What `fit` leaves in memory; answers through torch until it is saved and loaded."""

    def __init__(
        self, config: Config, labels: Labels, tokenizer: Tokenizer, network: "Network", train: Records,
        learned: Records, validation: Records | None, outcome: "Outcome",
    ):  # fmt: skip
        from .model.pipeline import torch_logits

        self.config, self.labels, self.tokenizer, self.network = config, labels, tokenizer, network
        self.train, self.learned, self.validation, self.outcome = train, learned, validation, outcome
        self.logits: Logits = torch_logits(network, tokenizer)
        self._baseline: Linear | None = None

    @property
    def baseline(self) -> Linear:
        return self.fit_baseline()

    def fit_baseline(self, stream: Stream | None = None) -> Linear:
        """TF-IDF + logistic regression on the same rows, fitted when it is first asked for."""
        from .training.baseline import fit_baseline

        if self._baseline is None:
            held_out = None if self.validation is None else numbered(self.labels, self.validation)
            rows = numbered(self.labels, self.train)
            self._baseline = fit_baseline(*rows, len(self.labels.names), held_out, seed=self.config.seed, stream=stream)
        return self._baseline

    def baseline_logits(self, texts: Sequence[str]) -> NDArray[np.floating]:
        return self.baseline.logits(texts)

    def surprise(self, texts: Sequence[str]) -> NDArray[np.floating]:
        return self.baseline.surprise(texts)

    @property
    def held_out(self) -> Familiarity | None:
        return _held_out(self, self.validation)

    def saw(self, texts: Sequence[str]) -> NDArray[np.bool_]:
        return np.isin(bundle.fingerprints(texts), bundle.fingerprints(self.learned.texts))

    def count_truncated(self, texts: Sequence[str]) -> int:
        return int(self.tokenizer.encode(texts).truncated.sum())

    @property
    def num_parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.network.parameters())

    def shipped(self, threads: int | None) -> tuple[int, Logits]:
        from .export.onnx import to_onnx

        onnx = to_onnx(self.network, self.tokenizer)
        size = len(onnx) + len(self.tokenizer.to_json().encode())
        return size, session_logits(onnx, self.tokenizer, threads)

    def files(self, stream: Stream | None) -> dict[str, bytes]:
        from .export.folder import model_files

        baseline = self.fit_baseline(stream)
        return model_files(
            self.config, self.labels, self.tokenizer, self.network, self.learned.texts, baseline, self.held_out
        )


class FittedLinear:
    """What `fit` leaves in memory of a linear model, which is its own baseline."""

    def __init__(
        self, config: Config, labels: Labels, train: Records, validation: Records | None, linear: Linear,
        outcome: "Outcome",
    ):  # fmt: skip
        self.config, self.labels, self.train, self.validation = config, labels, train, validation
        self.baseline, self.outcome = linear, outcome
        self.logits: Logits = linear_logits(linear)
        self.num_parameters = linear.num_parameters

    def baseline_logits(self, texts: Sequence[str]) -> NDArray[np.floating]:
        return self.baseline.logits(texts)

    def surprise(self, texts: Sequence[str]) -> NDArray[np.floating]:
        return self.baseline.surprise(texts)

    @property
    def held_out(self) -> Familiarity | None:
        return _held_out(self, self.validation)

    def saw(self, texts: Sequence[str]) -> NDArray[np.bool_]:
        return np.isin(bundle.fingerprints(texts), bundle.fingerprints(self.train.texts))

    def count_truncated(self, texts: Sequence[str]) -> int:
        return 0

    def shipped(self, threads: int | None) -> tuple[int, Logits]:
        return sum(map(len, self.baseline.files().values())), self.logits

    def files(self, stream: Stream | None) -> dict[str, bytes]:
        from .export.folder import linear_files

        return linear_files(self.config, self.labels, self.train.texts, self.baseline, self.held_out)


def _held_out(model: Fitted | FittedLinear, validation: Records | None) -> Familiarity | None:
    texts = [] if validation is None else evenly(validation.texts)
    return Familiarity.of(model.logits(texts), model.surprise(texts)) if texts else None


def numbered(labels: Labels, records: Records) -> tuple[Sequence[str], NDArray[np.int64]]:
    """Texts and the numbers of their classes."""
    return records.texts, labels.index(records.labels or [])
