"""The linear baseline: TF-IDF of words, word pairs and characters with logistic regression, scored by numpy alone.

Counts n-grams as scikit-learn's TfidfVectorizer does, so that a pipeline fitted there predicts the same here.
Legend: N texts, V n-grams, C classes, K distinct n-grams of one text.
"""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save as to_safetensors

from ..errors import ModelError
from . import tensors
from .documents import parsed

TENSORS = "baseline.safetensors"
DOCUMENT = "baseline.json"

_WORD = re.compile(r"(?u)\b\w\w+\b")
_HINT = "train the baseline again"
_NAMES = ("idf", "coef", "intercept")


class Analyzer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a text becomes weighted n-grams; `ngram_range` is the fewest and the most words, or characters, of one."""

    lowercase: bool = True
    ngram_range: tuple[int, int] = (1, 2)
    sublinear_tf: bool = True
    unit: Literal["word", "character"] = "word"

    def ngrams(self, text: str) -> Iterator[str]:
        """The n-grams of a text, words joined by one space; a word is two or more letters, digits or underscores.

        N-grams of characters stay inside what stands between white space, with one space on either side of it; what is
        shorter than an n-gram is one, once.
        """
        text = text.lower() if self.lowercase else text
        return self._of_words(text) if self.unit == "word" else self._of_characters(text)

    def _of_characters(self, text: str) -> Iterator[str]:
        fewest, most = self.ngram_range
        for word in text.split():
            padded = f" {word} "
            yield from (padded[at : at + fewest] for at in range(max(1, len(padded) - fewest + 1)))
            for size in range(fewest + 1, min(most, len(padded)) + 1):
                yield from (padded[at : at + size] for at in range(len(padded) - size + 1))

    def _of_words(self, text: str) -> Iterator[str]:
        words = _WORD.findall(text)
        fewest, most = self.ngram_range
        for size in range(fewest, min(most, len(words)) + 1):
            if size == 1:
                yield from words
            else:
                yield from map(" ".join, zip(*(islice(words, start, None) for start in range(size)), strict=False))


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The n-grams in the order of their columns, and the analyzer."""

    analyzer: Analyzer
    ngrams: list[str]


class _Document(_Part, frozen=True, forbid_unknown_fields=True):
    """What baseline.json holds."""

    characters: _Part | None = None


@dataclass(frozen=True, eq=False)
class Linear:
    """A fitted baseline; the arrays are held in float32, as they are stored.

    Shapes: `vocabulary` maps V n-grams to their columns; `idf` (V,), `coef` (C, V), `intercept` (C,). `characters` is a
    second part with n-grams and a norm of its own, whose scores are added.
    Raises: ModelError where the parts do not fit each other or hold a number that is not finite.
    """

    vocabulary: dict[str, int]
    idf: NDArray[np.floating]
    coef: NDArray[np.floating]
    intercept: NDArray[np.floating]
    analyzer: Analyzer = field(default_factory=Analyzer)
    characters: "Linear | None" = None
    _by_ngram: NDArray[np.floating] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        for name in _NAMES:
            object.__setattr__(self, name, np.ascontiguousarray(getattr(self, name), np.float32))
        _check(self)
        # a text gathers a few n-grams: their weights must lie side by side
        object.__setattr__(self, "_by_ngram", np.ascontiguousarray(self.coef.T))

    @property
    def num_classes(self) -> int:
        """C."""
        return len(self.intercept)

    @property
    def num_parameters(self) -> int:
        """How many numbers are stored, both parts together."""
        own = sum(getattr(self, name).size for name in _NAMES)
        return own + (0 if self.characters is None else self.characters.num_parameters)

    def divided(self, temperature: float) -> "Linear":
        """The same answers, less sure by that factor."""
        beside = None if self.characters is None else self.characters.divided(temperature)
        return replace(self, coef=self.coef / temperature, intercept=self.intercept / temperature, characters=beside)

    def logits(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """The score of each class, (N, C); a text's scores do not depend on the texts beside it."""
        logits_NC = np.empty((len(texts), self.num_classes))
        for row, text in enumerate(texts):
            logits_NC[row] = self._score(text)
        return logits_NC

    def probabilities(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """The softmax of the logits, (N, C)."""
        logits_NC = self.logits(texts)
        exponentials_NC = np.exp(logits_NC - logits_NC.max(axis=1, keepdims=True))
        return exponentials_NC / exponentials_NC.sum(axis=1, keepdims=True)

    def surprise(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """The mean weight of the n-grams of each text, (N,): the rarer they were in the training texts the more, and
        most where they stood in none. It is of the words, or of what this part counts."""
        unknown = 1 + float(self.idf.max(initial=1.0))
        found_N = np.full(len(texts), unknown)
        for row, text in enumerate(texts):
            columns = [self.vocabulary.get(ngram) for ngram in self.analyzer.ngrams(text)]
            if columns:
                found_N[row] = np.mean([unknown if column is None else self.idf[column] for column in columns])
        return found_N

    def files(self) -> dict[str, bytes]:
        """The bytes of `baseline.safetensors` and `baseline.json`; the same baseline always gives the same."""
        arrays, characters = {name: getattr(self, name) for name in _NAMES}, None
        if (beside := self.characters) is not None:
            arrays |= {f"characters.{name}": getattr(beside, name) for name in _NAMES}
            characters = _Part(beside.analyzer, beside._ngrams())
        document = _Document(self.analyzer, self._ngrams(), characters)
        return {TENSORS: to_safetensors(arrays), DOCUMENT: msgspec.json.encode(document)}

    @classmethod
    def load(cls, content: bytes, document: bytes) -> "Linear":
        """A baseline from the bytes of its two files, so that the caller can hash exactly what is used.

        Raises: ModelError where either is damaged or they do not fit each other.
        """
        described = _read_document(document)
        parts: list[tuple[str, _Part]] = [("", described)]
        if described.characters is not None:
            parts.append(("characters.", described.characters))
        arrays = _read_tensors(content, [f"{prefix}{name}" for prefix, _ in parts for name in _NAMES])
        made: Linear | None = None
        for prefix, part in reversed(parts):
            vocabulary = {ngram: column for column, ngram in enumerate(part.ngrams)}
            if len(vocabulary) < len(part.ngrams):
                raise ModelError(f"{DOCUMENT} must hold each n-gram once, got one twice", hint=_HINT)
            idf, coef, intercept = (arrays[f"{prefix}{name}"] for name in _NAMES)
            made = cls(vocabulary, idf, coef, intercept, part.analyzer, made)
        assert made is not None
        return made

    def _ngrams(self) -> list[str]:
        return sorted(self.vocabulary, key=self.vocabulary.__getitem__)

    def _score(self, text: str) -> NDArray[np.float64]:
        own_C = self._score_of_part(text)
        return own_C if self.characters is None else own_C + self.characters._score_of_part(text)

    def _score_of_part(self, text: str) -> NDArray[np.float64]:
        counts: dict[int, int] = {}
        for column in map(self.vocabulary.get, self.analyzer.ngrams(text)):
            if column is not None:
                counts[column] = counts.get(column, 0) + 1
        if not counts:
            return self.intercept.astype(np.float64)
        columns_K = np.fromiter(counts, np.intp, len(counts))
        counts_K = np.fromiter(counts.values(), np.float64, len(counts))
        if self.analyzer.sublinear_tf:
            counts_K = 1 + np.log(counts_K)
        weights_K = counts_K * self.idf[columns_K]
        norm = math.sqrt(weights_K @ weights_K) or 1.0  # n-grams that all weigh nothing have no direction
        return weights_K @ self._by_ngram[columns_K] / norm + self.intercept


def _check(linear: Linear) -> None:
    ngrams, classes = len(linear.vocabulary), len(linear.intercept) if linear.intercept.ndim == 1 else 0
    shapes = {name: getattr(linear, name).shape for name in _NAMES}
    fewest, most = linear.analyzer.ngram_range
    if classes == 0 or shapes != {"idf": (ngrams,), "coef": (classes, ngrams), "intercept": (classes,)}:
        raise ModelError(f"the baseline's tensors must fit its {ngrams} n-grams, got shapes {shapes}", hint=_HINT)
    beside = linear.characters
    if beside is not None and beside.num_classes != classes:
        raise ModelError(
            f"the baseline's two parts must score the same {classes} classes, got {beside.num_classes}", hint=_HINT
        )
    if not all(np.isfinite(getattr(linear, name)).all() for name in _NAMES):
        raise ModelError("the baseline's tensors must be finite, got NaN or infinity", hint=_HINT)
    if not 1 <= fewest <= most:
        raise ModelError(f"ngram_range must rise from 1 or more, got {[fewest, most]}", hint=_HINT)


def _read_document(document: bytes) -> _Document:
    try:
        return msgspec.convert(parsed(document, DOCUMENT, 2**30), _Document)
    except msgspec.ValidationError as error:
        raise ModelError(f"{DOCUMENT} must describe a baseline, got: {error}", hint=_HINT) from None


def _read_tensors(content: bytes, names: Sequence[str]) -> dict[str, NDArray[np.float32]]:
    stored = tensors.read(content, TENSORS)
    kinds = {name: str(tensor.dtype) for name, tensor in sorted(stored.items())}
    if kinds != dict.fromkeys(sorted(names), "float32"):
        raise ModelError(f"{TENSORS} must hold {', '.join(names)} in float32, got {kinds}", hint=_HINT)
    return stored
