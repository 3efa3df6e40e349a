"""Does a text look like those that the model was made for? A p-value from texts that were held out of training.

Two things are ranked among the held-out texts': the energy of the logits, which is low where no class speaks up, and
the surprise of the words, which is high where they are not those of the training texts. The ranks are joined by
Fisher's product, and the product is ranked again. *Source*: Liu et al. 2020, arXiv 2010.03759, for the energy; Bates et
al. 2023, arXiv 2104.08279, for the p-value. Legend: N held-out texts, M others, C classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import UsageError
from .intervals import Interval, wilson

RARE = 0.05
MOST = 2_000  # held-out texts; more make the p-value no better


class Unfamiliar(TypedDict):
    """`share` of the texts whose familiarity is at most `level`, which is the share expected of texts like those held
    out."""

    level: float
    share: Interval


@dataclass(frozen=True)
class Familiarity:
    """What the held-out texts were like: `energy` and `surprise`, each `(N,)`."""

    energy: NDArray[np.float32]
    surprise: NDArray[np.float32]

    @classmethod
    def of(cls, logits: ArrayLike, surprise: ArrayLike) -> "Familiarity":
        """From logits `(N, C)` and surprises `(N,)` of held-out texts."""
        return cls(energy(np.asarray(logits)).astype(np.float32), np.asarray(surprise, np.float32))

    def __call__(self, logits: ArrayLike, surprise: ArrayLike) -> NDArray[np.float64]:
        """The share of the held-out texts that are no more familiar, `(M,)` in 0..1, the text itself among them."""
        values = energy(np.asarray(logits)).astype(np.float32), np.asarray(surprise, np.float32)
        return _rank(self._reference, self._product(*values, own=1), own=1)

    def unfamiliar(self, logits: ArrayLike, surprise: ArrayLike, level: float = RARE) -> Unfamiliar | None:
        """None where the held-out texts are too few for any to be so rare."""
        if 1 / (1 + len(self.energy)) > level:
            return None
        found = self(logits, surprise)
        return {"level": level, "share": wilson(int((found <= level).sum()), len(found))}

    @cached_property
    def _reference(self) -> NDArray[np.float64]:
        return np.sort(self._product(self.energy, self.surprise, own=0))

    def _product(self, energy_M: NDArray[np.float32], surprise_M: NDArray[np.float32], own: int) -> NDArray[np.float64]:
        ranks = _rank(np.sort(self.energy), energy_M, own), _rank(np.sort(-self.surprise), -surprise_M, own)
        return np.log(ranks[0]) + np.log(ranks[1])


def evenly(texts: Sequence[str]) -> list[str]:
    """Of many held-out texts `MOST` that lie evenly among them, from the first to the last."""
    return [texts[int(row)] for row in np.linspace(0, len(texts) - 1, min(MOST, len(texts))).round()]


def required(held_out: Familiarity | None) -> Familiarity:
    """A model's held-out texts. Raises UsageError for one that was trained without validation texts."""
    if held_out is None:
        raise UsageError("familiarity must be asked of a model that was trained with validation texts, got one without",
                         hint="fit(..., validation=(texts, labels)), or train it again")  # fmt: skip
    return held_out


def energy(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """The logarithm of the sum of the exponentials of each row `(N, C)`, so that more is surer."""
    most = logits.max(1, keepdims=True).astype(np.float64)
    return (most + np.log(np.exp(logits - most).sum(1, keepdims=True)))[:, 0]


def _rank(ordered: NDArray[np.floating], values: NDArray[np.floating], own: int) -> NDArray[np.float64]:
    """The share that is at most each value, the value itself among them: it is one more (`own` 1) or stands in
    `ordered`."""
    return (own + np.searchsorted(ordered, values, side="right")) / (own + len(ordered))
