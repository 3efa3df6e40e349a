"""Where position is read: what one head of one layer knows of positions is scrambled, and the answers are watched.

No probe and no training. A head learns of positions in two ways: by what entered the stream before it, and by what its
own scores add or turn. Both are computed as if each text's tokens stood in another order, for that head alone; its
values, and all other heads, stay as they are. One forward a head.
Shape suffixes: T tokens `(B, L)`, D d_model, H heads, E width of a head.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ..model.pipeline import Network
from ..positions import Bias, Dense, PositionalEncoding, Positions
from ..positions._bias import terms
from .order import answers, relative
from .stack import Batch, Stack
from .streams import word_orders


@dataclass(frozen=True)
class Reading:
    """`change[layer][head]`: how far answers move, relative to the answers of two texts, when that head's positions
    are scrambled; `layers` when all heads of a layer are; `entering` when what is added to the stream is."""

    change: list[list[float]]
    layers: list[float]
    entering: float


def reading(
    network: Network, batches: Sequence[Batch], seed: int = 0, progress: Callable[[str], object] = lambda line: None
) -> Reading:
    """The map of a network of ours; deterministic."""
    stack = Stack(network, batches[0])
    natural = answers(stack, batches)
    orders = [word_orders(batch, seed + 1) for batch in batches]
    depth, heads = len(network.encoder.layers), network.encoder.encodings[0].size.num_heads
    recorded = [_Record() for _ in batches]

    def changed(layer: int | None, head: int | None) -> float:
        moved = []
        for batch, order, record in zip(batches, orders, recorded, strict=True):
            with _scrambled(network, order, record, layer, head):
                moved.append(stack.answers(batch).cpu().numpy())
        return relative(natural, np.concatenate(moved)).value

    entering = changed(None, None)  # this run also records what each head is given in it
    change, whole = [], []
    for layer in range(depth):
        change.append([changed(layer, head) for head in range(heads)])
        whole.append(changed(layer, None))
        progress(f"positions scrambled in layer {layer + 1} of {depth}, a head at a time")
    return Reading(change, whole, entering)


class _Record(dict[int, tuple[Tensor, Tensor, Tensor]]):
    """x, q and k of each layer in the run whose stream has scrambled positions."""


@contextmanager
def _scrambled(
    network: Network, order: Int[Tensor, "B L"], record: _Record, layer: int | None, head: int | None
) -> Iterator[None]:
    """Positions of that head scrambled (of all heads without one); of what enters the stream without a layer."""
    encoder = network.encoder
    before = encoder.encodings
    wrapped: list[PositionalEncoding] = [before[number] for number in range(len(encoder.layers))]
    if layer is None:
        wrapped = [_Entering(inner, order, record, number) for number, inner in enumerate(wrapped)]
    else:
        wrapped[layer] = _Head(wrapped[layer], order, record[layer], head)
    encoder.encodings = _Listed(before.place, wrapped)  # type: ignore[assignment] - a container of its own
    try:
        yield
    finally:
        encoder.encodings = before


class _Listed(nn.Module):
    def __init__(self, place: Callable[[Positions], Positions], encodings: Sequence[PositionalEncoding]):
        super().__init__()
        self.place = place
        self._encodings = encodings

    def __getitem__(self, layer: int) -> PositionalEncoding:
        return self._encodings[layer]


class _Wrapped(PositionalEncoding):
    def __init__(self, inner: PositionalEncoding, order: Int[Tensor, "B L"]):
        super().__init__(inner.size)
        self.inner, self.order, self.back = inner, order, order.argsort(1)


class _Entering(_Wrapped):
    """What is added to the stream is added as if tokens stood in another order; each layer's q and k are kept."""

    def __init__(self, inner: PositionalEncoding, order: Int[Tensor, "B L"], record: _Record, layer: int):
        super().__init__(inner, order)
        self.record, self.layer = record, layer

    def embed(self, x_TD: Float[Tensor, "*T D"], p: Positions) -> Float[Tensor, "*T D"]:
        return _moved(self.inner.embed(_moved(x_TD, self.order), p), self.back)

    def bias(
        self, x_TD: Float[Tensor, "*T D"], q_THE: Float[Tensor, "*T H E"], k_THE: Float[Tensor, "*T H E"], p: Positions
    ) -> Bias | None:
        self.record[self.layer] = (x_TD, q_THE, k_THE)
        return self.inner.bias(x_TD, q_THE, k_THE, p)

    def rotate(
        self, q_THE: Float[Tensor, "*T H E"], k_THE: Float[Tensor, "*T H E"], p: Positions
    ) -> tuple[Float[Tensor, "*T H F"], Float[Tensor, "*T H F"]]:
        return self.inner.rotate(q_THE, k_THE, p)


class _Head(_Wrapped):
    """One head whose queries, keys and scores are those of scrambled positions."""

    def __init__(
        self, inner: PositionalEncoding, order: Int[Tensor, "B L"], record: tuple[Tensor, Tensor, Tensor],
        head: int | None,
    ):  # fmt: skip
        super().__init__(inner, order)
        self.record = record
        chosen = torch.arange(inner.size.num_heads, device=order.device)
        self.chosen_H = torch.ones_like(chosen, dtype=torch.bool) if head is None else chosen == head

    def embed(self, x_TD: Float[Tensor, "*T D"], p: Positions) -> Float[Tensor, "*T D"]:
        return self.inner.embed(x_TD, p)

    def bias(
        self, x_TD: Float[Tensor, "*T D"], q_THE: Float[Tensor, "*T H E"], k_THE: Float[Tensor, "*T H E"], p: Positions
    ) -> Bias | None:
        natural = self.inner.bias(x_TD, q_THE, k_THE, p)
        x, q, k = (_moved(part, self.order) for part in self.record)
        other = self.inner.bias(x, q, k, p)
        if natural is None or other is None:
            return natural
        scores = natural.dense()
        moved = other.dense().expand(len(self.order), -1, -1, -1)
        rows = self.back[:, None, :, None].expand(-1, moved.shape[1], -1, moved.shape[3])
        columns = self.back[:, None, None, :].expand(-1, moved.shape[1], moved.shape[2], -1)
        moved = moved.gather(2, rows).gather(3, columns)
        mixed: Bias = Dense(torch.where(self.chosen_H[None, :, None, None], moved, scores))
        for term in terms(natural):
            if term.acts_on_values:  # of no score: values stay as they are
                mixed = mixed + term
        return mixed

    def rotate(
        self, q_THE: Float[Tensor, "*T H E"], k_THE: Float[Tensor, "*T H E"], p: Positions
    ) -> tuple[Float[Tensor, "*T H F"], Float[Tensor, "*T H F"]]:
        _, q, k = (_moved(part, self.order) for part in self.record)
        moved = (_moved(part, self.back) for part in self.inner.rotate(q, k, p))
        natural = self.inner.rotate(q_THE, k_THE, p)
        q_THF, k_THF = (
            torch.where(self.chosen_H[:, None], other, own) for other, own in zip(moved, natural, strict=True)
        )
        return q_THF, k_THF


def _moved(x: Tensor, order: Int[Tensor, "B L"]) -> Tensor:
    """Column c of each row is what stood in column order[c]."""
    rows = torch.arange(len(order), device=order.device).unsqueeze(1)
    return x[rows, order]
