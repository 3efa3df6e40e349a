"""The facade: one estimator with scikit-learn's names that trains, answers, saves and loads."""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from . import config as configs
from .config import Config
from .data.labels import Labels
from .data.records import Records, from_python, read
from .data.splits import split, without
from .errors import ConfigError, DataError, MissingExtraError, NotFittedError, ResourceError, UsageError
from .fitted import Fitted, FittedLinear, numbered
from .report import Report, Stream, duration
from .runtime import bundle
from .runtime.evaluation import evaluate
from .runtime.session import Logits, Session, softmax
from .scoring.familiarity import required

if TYPE_CHECKING:
    from .model.pipeline import Network
    from .runtime.explain import Explanation
    from .training.lesson import Lesson
    from .training.loop import Outcome


class Classifier:
    """A small transformer text classifier, or with `model="linear"` a linear one.

    `preset` names the recipe; every other argument is a config key (`num_layers=2, learning_rate=3e-4`).
    `device` is auto, cpu, cuda or mps; `threads` None leaves torch's and onnxruntime's own choice.

    *Raises*: ConfigError, at `fit`, for a key or value that the schema does not know.
    """

    def __init__(self, preset: str = "small", *, device: str = "auto", threads: int | None = None, **overrides: Any):
        self.preset = preset
        self.device = device
        self.threads = threads
        self._overrides = overrides
        self._state: Fitted | FittedLinear | Session | None = None
        self._given: dict[str, Any] = {}  # each class name's label as `fit` got it: 1 stays 1

    # --- scikit-learn ---------------------------------------------------------------------------------------

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The arguments that build the same estimator; `deep` changes nothing, there is no estimator inside."""
        return {"preset": self.preset, "device": self.device, "threads": self.threads, **self._overrides}

    def set_params(self, **params: Any) -> "Classifier":
        """Sets arguments or any config key. Raises ConfigError for a key that does not exist."""
        for key, value in params.items():
            if key in ("preset", "device", "threads"):
                setattr(self, key, value)
            elif key in configs.KEYS:
                self._overrides[key] = value
            else:
                configs.make({key: value})  # raises, naming the nearest key
        return self

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import ClassifierTags, InputTags, Tags, TargetTags

        return Tags(
            estimator_type="classifier",
            target_tags=TargetTags(required=True),
            classifier_tags=ClassifierTags(),
            input_tags=InputTags(one_d_array=True, two_d_array=False, string=True),
        )

    def __sklearn_is_fitted__(self) -> bool:
        return self._state is not None

    def __repr__(self) -> str:
        shown = {key: value for key, value in self.get_params().items() if key in self._overrides or key == "preset"}
        return f"Classifier({', '.join(f'{key}={value!r}' for key, value in shown.items())})"

    # --- training -------------------------------------------------------------------------------------------

    def fit(
        self,
        texts: Any,
        labels: Any = None,
        *,
        validation: tuple[Any, Any] | None = None,
        sample_weight: Sequence[float] | None = None,
        teacher: Any = None,
        unlabelled: Any = None,
    ) -> "Classifier":
        """Trains on texts and labels: lists, arrays, or columns of pandas or polars.

        Without `labels`, `texts` is a frame, a `datasets.Dataset`, rows as dicts or a file, with a column of each.
        Without `validation` a recipe with `patience` holds out a tenth of the texts for it. These also say how sure the
        answers may be: `predict_proba` is scaled by their temperature. With a `teacher`, which is anything that has
        `predict_proba` and `classes_`, its answers are learned, on `unlabelled` texts too; with
        `masked_epochs` the hidden tokens of all texts are learned first.

        *Raises*: DataError for rows that cannot be trained on, ConfigError for a config that cannot work,
        DivergedError if the loss is no longer finite, MissingExtraError without the [train] extra.
        """
        records = _records(texts, labels)
        self._given = {} if labels is None else dict(zip(_required(records.labels), list(labels), strict=True))
        weights = np.ones(len(records), np.float32) if sample_weight is None else _weights(sample_weight, len(records))
        config = self.config
        if validation is not None:
            held_out = _records(*validation)
        elif config.patience:
            rows, held_rows = split(records.texts, _required(records.labels), fractions=(0.9, 0.1), seed=config.seed)
            records, held_out, weights = records.subset(rows), records.subset(held_rows), weights[rows]
        else:
            held_out = None
        texts = [] if unlabelled is None else from_python(unlabelled, labels_required=False).texts
        if held_out is not None:
            texts = [texts[row] for row in without(texts, held_out.texts)]
        lesson = None
        if teacher is not None:
            from .training.lesson import lesson as ask

            lesson, texts = ask(teacher, records, texts), []
        self.fit_records(records, validation=held_out, weights=weights, lesson=lesson, unlabelled=texts)
        return self

    def fit_records(
        self,
        train: Records,
        *,
        validation: Records | None = None,
        weights: NDArray[np.float32] | None = None,
        lesson: "Lesson | None" = None,
        unlabelled: Sequence[str] = (),
        stream: Stream | None = None,
        stop: Callable[[], bool] = lambda: False,
        checkpoints: Path | None = None,
        every: float | None = None,
        finish: bool = False,
    ) -> "Outcome":
        """What `fit` and the command line share: trains on exactly these rows and tells how it went.

        With a `lesson` it is what is learned; `train` are then the rows of it whose labels are known. `unlabelled`
        texts are others, whose hidden tokens are learned.
        `checkpoints` is a folder of this run alone: a run goes on from what stands there, and saves itself there
        every so many seconds. With `finish` no further step is taken.
        """
        config = self.config
        labels = Labels.from_names(_required(train.labels))
        _check_classes(config, labels)
        try:
            from .training.encoder import fit_encoder
        except ModuleNotFoundError as error:
            raise MissingExtraError(f"training ({error.name})", "train") from None
        if lesson is not None and (config.model == "linear" or config.frozen):
            raise UsageError("a student must learn by steps, got a linear or frozen model", hint="--student small")
        if unlabelled and config.model == "linear":
            raise UsageError("unlabelled texts must be read by an encoder, got a linear model", hint="--preset small")
        if unlabelled and not config.masked_epochs:
            raise UsageError("unlabelled texts must have a teacher or masked_epochs, got neither",
                             hint="--teacher DIR, or --set masked_epochs=3")  # fmt: skip
        if config.model == "linear":
            return self._fit_linear(config, labels, train, validation, weights, stream)
        if self.threads is not None:
            import torch

            torch.set_num_threads(self.threads)
        trained = fit_encoder(
            config, labels, train, validation=validation, weights=weights, lesson=lesson, unlabelled=unlabelled,
            device=self.device, stream=stream, stop=stop, checkpoints=checkpoints, every=every, finish=finish,
        )  # fmt: skip
        self._state = Fitted(config, labels, trained.tokenizer, trained.network, train, trained.read, validation,
                             trained.outcome)  # fmt: skip
        return trained.outcome

    def seconds(self, train: Records) -> float:
        """What `fit_records` on these rows takes at most, foreseen from a few steps; nothing is learned."""
        from .training.encoder import seconds_of

        return seconds_of(self.config, train, self.device)

    def _fit_linear(
        self, config: Config, labels: Labels, train: Records, validation: Records | None,
        weights: NDArray[np.float32] | None, stream: Stream | None,
    ) -> "Outcome":  # fmt: skip
        from .training.baseline import fit_model
        from .training.rows import class_weights

        rows = numbered(labels, train)
        each = np.ones(len(train), np.float32) if weights is None else weights
        each = each * class_weights(config, labels, rows[1])[rows[1]]
        held_out = None if validation is None else numbered(labels, validation)
        linear, outcome = fit_model(*rows, len(labels.names), held_out, each, seed=config.seed, stream=stream)
        if stream is not None:
            stream.write(f"{linear.num_parameters:,} parameters, fitted in {duration(outcome.seconds)}\n")
        self._state = FittedLinear(config, labels, train, validation, linear, outcome)
        return outcome

    @property
    def config(self) -> Config:
        """The resolved config. Raises ConfigError for an unknown key or a value out of range."""
        if isinstance(self._state, Session) and not self._overrides:
            return self._state.config
        return configs.resolve(self.preset, overrides=self._overrides)

    # --- answers --------------------------------------------------------------------------------------------

    @property
    def classes_(self) -> NDArray[Any]:
        """The classes, in the order of the columns of `predict_proba`: as `fit` got them, or names once loaded."""
        return np.array([self._given.get(name, name) for name in self._fitted.labels.names])

    @property
    def history_(self) -> list[dict[str, Any]]:
        """A record an epoch: loss and accuracy, and the validation's where there was one."""
        return self._trained("history_").outcome.history

    @property
    def network_(self) -> "Network":
        """The trained torch module, straight after `fit`."""
        state = self._trained("network_")
        if isinstance(state, FittedLinear):
            raise NotFittedError("network_ must be asked of an encoder, got a linear model")
        return state.network

    @property
    def learned_(self) -> "tuple[Network | None, int]":
        """The network, None of a linear model, and how many numbers were learned."""
        state = self._trained("learned_")
        return (None if isinstance(state, FittedLinear) else state.network), state.num_parameters

    def shipped(self) -> tuple[int, Logits]:
        """Bytes of what answering needs in a run folder, and what answers there."""
        return self._trained("shipped").shipped(self.threads)

    def predict(self, texts: Any) -> NDArray[Any]:
        """The most probable class of each text, shape `(N,)`."""
        return self.classes_[self.logits(texts).argmax(1)]

    def predict_proba(self, texts: Any) -> NDArray[np.float32]:
        """Probabilities of the classes, shape `(N, C)`; each row sums to 1."""
        return softmax(self.logits(texts))

    def logits(self, texts: Any) -> NDArray[np.float32]:
        """Scores of the classes before the softmax, shape `(N, C)`."""
        fitted = self._fitted
        return fitted.logits(from_python(texts, labels_required=False).texts)

    def familiarity(self, texts: Any) -> NDArray[np.float64]:
        """How much each text is like those held out of training, `(N,)` in 0..1: the share of these that are no more
        so. Of texts of their kind one in twenty has 0.05 or less, whatever its label.

        *Raises*: UsageError for a model that was trained without validation texts.
        """
        some, model = from_python(texts, labels_required=False).texts, self._fitted
        return required(model.held_out)(model.logits(some), model.surprise(some))

    def score(self, texts: Any, labels: Any = None) -> float:
        """Accuracy in 0..1."""
        records = _records(texts, labels)
        names = np.array(self._fitted.labels.names)[self.logits(records.texts).argmax(1)]
        return float((names == np.array(_required(records.labels))).mean())

    def evaluate(self, texts: Any, labels: Any = None, *, invariance: bool = False) -> Report:
        """Everything that `scriptchain evaluate` says, with intervals; `.data` is its JSON document."""
        return evaluate(self._fitted, _records(texts, labels), name=self.preset, invariance=invariance)

    def explain(self, texts: Any, label: str | None = None, *, method: str = "occlusion") -> "list[Explanation]":
        """The words that the answer to each text rests on, or `label` if it is given; see `Explanation`.

        A word's weight is what the label's log-odds lose without it ("occlusion"), or what it adds to them on the way
        from a text of [MASK] (integrated "gradients", where there is a network; arXiv 1703.01365).

        *Raises*: UsageError for a label that is no class, a method that is none, and gradients without a network.
        """
        from .runtime.explain import check_method, explain

        some, fitted = from_python(texts, labels_required=False).texts, self._fitted
        weigh = None
        if check_method(method) == "gradients":
            from .model.gradients import by_gradients, by_gradients_of

            if isinstance(fitted, Session):
                weigh = by_gradients_of(fitted.bundle)
            else:
                weigh = by_gradients(getattr(fitted, "network", None), getattr(fitted, "tokenizer", None))
        return [explain(fitted.logits, fitted.labels, text, label, weigh) for text in some]

    # --- run folders ----------------------------------------------------------------------------------------

    @classmethod
    def from_pretrained(cls, folder: str | os.PathLike[str], *, threads: int | None = None) -> "Classifier":
        """Loads a run folder; it answers through onnxruntime and needs no torch.

        *Raises*: ModelError for a folder that is not one of ours or was changed since it was written.
        """
        session = Session(folder, threads=threads)
        values = configs.to_dict(session.config)
        defaults = configs.to_dict(configs.resolve(session.config.preset))
        overrides = {key: value for key, value in values.items() if value != defaults[key]}
        loaded = cls(session.config.preset, threads=threads, **overrides)
        loaded._state = session
        return loaded

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Writes what `from_pretrained` reads; the ONNX file is proven equal to the trained network first.

        *Raises*: UsageError if the folder exists and is not empty; ResourceError where it cannot be written, and then
        nothing of it is left.
        """
        path = Path(folder)
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise UsageError(f"the folder must be new or empty, got {str(path)!r}")
        files = self.files()  # first: what cannot be exported leaves no folder behind
        new = not path.exists()
        try:
            path.mkdir(parents=True, exist_ok=True)
            bundle.write(path, files)
        except OSError as error:
            with suppress(OSError):
                for left in path.iterdir():
                    left.unlink()
                if new:
                    path.rmdir()
            raise ResourceError(f"{path} cannot be written ({error.strerror})") from None

    def files(self, stream: Stream | None = None) -> dict[str, bytes]:
        """The files of a run folder that loading reads, by name; what takes long tells `stream` how far it is."""
        state = self._fitted
        if isinstance(state, Session):
            return {name: state.bundle.read(name) for name in state.bundle.manifest.files}
        return state.files(stream)

    # --- inside ---------------------------------------------------------------------------------------------

    @property
    def _fitted(self) -> "Fitted | FittedLinear | Session":
        if self._state is None:
            raise NotFittedError("the classifier must be fitted first, got one without weights",
                                 hint="fit(texts, labels) or Classifier.from_pretrained(folder)")  # fmt: skip
        return self._state

    def _trained(self, name: str) -> "Fitted | FittedLinear":
        if not isinstance(self._state, (Fitted, FittedLinear)):
            raise NotFittedError(f"{name} must be asked after fit, got a model that was not trained here",
                                 hint="fit(texts, labels)")  # fmt: skip
        return self._state


def _records(texts: Any, labels: Any) -> Records:
    return read(texts) if labels is None else from_python(texts, labels, labels_required=True)


def _check_classes(config: Config, labels: Labels) -> None:
    found = len(labels.names)
    if found < 2:
        raise DataError(f"the training rows must have at least two classes, got {found}")
    if config.num_classes not in (None, found):
        raise ConfigError(
            f"num_classes must be {found}, the number of classes in the training rows, got {config.num_classes}",
            hint="leave num_classes out",
        )


def _weights(sample_weight: Sequence[float], rows: int) -> NDArray[np.float32]:
    weights = np.asarray(sample_weight, np.float32)
    if weights.shape != (rows,) or not (np.isfinite(weights).all() and (weights >= 0).all() and weights.any()):
        raise DataError(f"sample_weight must be {rows} numbers of at least 0, not all 0, got shape {weights.shape}")
    return weights


def _required(labels: list[str] | None) -> list[str]:
    assert labels is not None
    return labels
