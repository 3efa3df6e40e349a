"""Which words an answer rests on: each is left out in turn, and what the answer loses is its weight.

It asks nothing but answers, so it is the same for every model; where there is a network, weights may come from its
gradients. Either way they are checked: the words of most weight are left out one after another, and the label's
probability must fall by more than when words are left out at random.
*Source*: occlusion, arXiv 1311.2901; leaving out in order, arXiv 1509.06321; comprehensiveness, arXiv 1911.03429.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.labels import Labels
from ..errors import UsageError
from ..report import percent, shown
from .session import Logits, softmax

# A word, a sign, or one character of a script that writes no spaces.
_WORD = re.compile(r"[぀-ヿ㐀-鿿฀-๿]|[^\W぀-ヿ㐀-鿿฀-๿]+(?:['’][^\W_]+)*|[^\w\s]")
# Of a text, where its words stand and a class: what each word adds to the class's log-odds, `(words,)`.
Weigh = Callable[[str, Sequence[tuple[int, int]], int], NDArray[np.float64]]
METHODS = ("occlusion", "gradients")
LONGEST = 256  # words of a text that are left out, from its start
DELETED, ORDERS = 10, 20  # words of most weight that are left out one after another; random orders beside them


@dataclass(frozen=True)
class Word:
    """A word at `text[start:end]`; `weight` is what it adds to the label's log-odds, None if not measured."""

    word: str
    start: int
    end: int
    weight: float | None


@dataclass(frozen=True)
class Explanation:
    """`score` is the label's probability, `deletion` what it loses on average while the ten words of most weight are
    left out one after another, and `random` the same of words in random order, both 0..1; None of a text of one word.
    """

    text: str
    label: str
    score: float
    words: list[Word]
    deletion: float | None
    random: float | None

    @property
    def check(self) -> str:
        """The two falls in words; nothing of a text of one word."""
        if self.deletion is None:
            return ""
        return (
            f"without the words of most weight the probability falls by {percent(self.deletion)}, without as many at "
            f"random by {percent(self.random)}"
        )

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def explain(
    logits: Logits, labels: Labels, text: str, label: str | None = None, weigh: Weigh | None = None
) -> Explanation:
    """Why the model gives `text` this label: the one of its answer, or another. Cost: some 200 answers, and one a word.

    A word weighs what the log-odds lose without it, or what `weigh` says.

    *Raises*: UsageError for a label that is no class.
    """
    if label is not None and label not in labels.names:
        raise UsageError(f"label must be one of {', '.join(shown(name, 20) for name in labels.names[:20])}, "
                         f"got {shown(label, 40)!r}")  # fmt: skip
    spans = [match.span() for match in _WORD.finditer(text)]
    measured = spans[:LONGEST]
    answer = logits([text])[0]
    of = int(answer.argmax()) if label is None else labels.names.index(label)
    weights = (weigh or _leaving_out(logits))(text, measured, of)
    probability = float(softmax(answer)[of])
    deletion = random = None
    if len(measured) > 1:
        rng = np.random.default_rng(0)
        orders = [np.argsort(-weights, kind="stable"), *(rng.permutation(len(measured)) for _ in range(ORDERS))]
        steps = range(1, min(DELETED, len(measured) - 1) + 1)
        left = [_without(text, [measured[one] for one in order[:step]]) for order in orders for step in steps]
        falls = probability - softmax(logits(left))[:, of].reshape(len(orders), len(steps)).mean(1)
        deletion, random = float(falls[0]), float(falls[1:].mean())
    every = [*weights.tolist(), *[None] * (len(spans) - len(measured))]
    words = [Word(text[start:end], start, end, weight) for (start, end), weight in zip(spans, every, strict=True)]
    return Explanation(text, labels.names[of], probability, words, deletion, random)


def check_method(method: str) -> str:
    """The method, if it is one. Raises UsageError."""
    if method not in METHODS:
        raise UsageError(f"method must be one of {', '.join(METHODS)}, got {shown(method, 40)!r}")
    return method


def _leaving_out(logits: Logits) -> Weigh:
    def weigh(text: str, spans: Sequence[tuple[int, int]], of: int) -> NDArray[np.float64]:
        odds = _log_odds(logits([text, *(_without(text, [span]) for span in spans)]), of)
        return odds[0] - odds[1:]

    return weigh


def _without(text: str, spans: Sequence[tuple[int, int]]) -> str:
    parts, at = [], 0
    for start, end in sorted(spans):
        parts.append(text[at:start])
        at = end
    return "".join([*parts, text[at:]])


def _log_odds(logits: NDArray[np.float32], of: int) -> NDArray[np.float64]:
    """The logarithm of p / (1 - p), `(N,)`, without the rounding of p."""
    others = np.delete(logits.astype(np.float64), of, axis=1)
    top = others.max(1, keepdims=True)
    return logits[:, of] - (top[:, 0] + np.log(np.exp(others - top).sum(1)))
