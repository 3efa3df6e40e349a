"""What each head of a finished model looks at, without torch: the weights in its ONNX graph, made outputs of a copy.

Where a head looks is not what the answer rests on: weights can be moved about without the answer changing (*Source*:
arXiv 1902.10186). `explain` measures the second.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.tokenizer import Tokenizer
from ..errors import UsageError
from . import graph
from .session import Session, onnx_session

MOST = 64  # tokens; a map grows with their square


@dataclass(frozen=True)
class AttentionMaps:
    """`weights` has shape `(layers, heads, T, T)`: how much the row's token takes from the column's; rows sum to 1."""

    tokens: list[str]
    weights: NDArray[np.float32]
    truncated: bool

    def to_dict(self) -> dict[str, Any]:
        weights = np.round(self.weights, 3).tolist()
        return {"tokens": self.tokens, "truncated": self.truncated, "weights": weights}


class Watched:
    """A model whose attention can be seen, from its ONNX file and its vocabulary."""

    def __init__(self, onnx: bytes, tokenizer: Tokenizer):
        self._tokenizer = tokenizer
        watched, self._names = graph.with_weights(onnx)
        self._graph = onnx_session(watched, threads=1)

    @classmethod
    def of(cls, session: Session) -> "Watched":
        """Loads a second copy of the graph. Raises UsageError for a model without attention."""
        if session.config.model == "linear":
            raise UsageError("attention must be asked of a model that has some, got a linear one")
        return cls(session.bundle.read("model.onnx"), session.bundle.tokenizer)

    def __call__(self, text: str) -> AttentionMaps:
        encoded = self._tokenizer.encode([text])
        ids = encoded.ids[0][:MOST]
        found = self._graph.run(self._names, {"ids": ids[None], "mask": np.ones((1, len(ids)), np.bool_)})
        # A head that pools by attention has a softmax too, over tokens alone.
        # Keys stand filled up to a register's numbers; weights of what fills them are 0.
        weights = np.stack([one[0, ..., : len(ids)] for one in map(np.asarray, found) if one.ndim == 4])
        tokens = self._tokenizer.spelled(ids.tolist())
        return AttentionMaps(tokens, weights, bool(encoded.truncated[0]) or len(encoded.ids[0]) > MOST)
