"""What the positions are: one frozen value a forward, for padded batches and packed streams alike.

Shapes: `T` is `(B, L)` for a padded batch or `(N,)` for a packed stream of real tokens.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Bool, Int, Num, Shaped
from torch import Tensor

from ..errors import UsageError


@dataclass(frozen=True)
class Positions:
    """Where each token stands. Pads never count: a text has the same positions under any padding.

    coordinate: what encodings read; integer or a float of at least 32 bits, never a half type
    index: number of the token inside its own sequence, from 0 (0 on pads)
    valid: False on pads
    segment: number of the sequence that the token belongs to
    length: number of real tokens in that sequence
    special: tokens such as [CLS] that stand outside the text's order
    packed: True for a stream of sequences one behind another, without pads
    contiguous: whether it is known that no pad stands between two tokens of a sequence, so that columns are as far
        apart as indices; compiled, exported and fake runs never ask
    """

    coordinate: Num[Tensor, "*T"]
    index: Int[Tensor, "*T"]
    valid: Bool[Tensor, "*T"]
    segment: Int[Tensor, "*T"]
    length: Int[Tensor, "*T"]
    special: Bool[Tensor, "*T"]
    packed: bool = False
    contiguous: bool = False

    def __post_init__(self) -> None:
        if self.coordinate.is_floating_point() and self.coordinate.dtype not in (torch.float32, torch.float64):
            raise UsageError(
                f"coordinate must be integer, float32 or float64, got {self.coordinate.dtype}",
                hint="positions.coordinate.float()",
            )

    @classmethod
    def from_mask(
        cls, mask: Num[Tensor, "B L"] | Bool[Tensor, "B L"], special: Bool[Tensor, "B L"] | None = None
    ) -> "Positions":
        """From a mask of a padded batch, true on real tokens; padding may stand on either side."""
        valid = mask.bool()
        counted = valid.long()
        index = (counted.cumsum(1) - 1).clamp(min=0) * counted
        length = counted.sum(1, keepdim=True).expand_as(index)
        segment = torch.arange(index.shape[0], device=index.device).unsqueeze(1).expand_as(index)
        contiguous = False
        if readable(valid):
            begins = (valid[:, 1:] & ~valid[:, :-1]).sum(1) + valid[:, :1].sum(1)
            contiguous = bool((begins <= 1).all())
        return cls(
            index, index, valid, segment, length,
            torch.zeros_like(valid) if special is None else special, contiguous=contiguous,
        )  # fmt: skip

    @classmethod
    def from_lengths(cls, lengths: Int[Tensor, "B"], max_length: int | None = None) -> "Positions":
        """From the number of tokens of each sequence, padded on the right to `max_length` or the longest."""
        width = int(lengths.max()) if max_length is None else max_length
        return cls.from_mask(torch.arange(width, device=lengths.device) < lengths.unsqueeze(1))

    @classmethod
    def from_packed(cls, segment: Int[Tensor, "*T"], special: Bool[Tensor, "*T"] | None = None) -> "Positions":
        """From the sequence number of each token of a stream; the tokens of a sequence stand together.

        `segment` is `(N,)`, or `(1, N)` where code around it wants a batch axis.
        Raises UsageError if a sequence is interrupted by another.
        """
        flat = segment.reshape(-1)
        if not len(flat):
            raise UsageError("segment must hold at least one token, got none")
        starts = torch.ones_like(flat, dtype=torch.bool)
        starts[1:] = flat[1:] != flat[:-1]
        run = starts.long().cumsum(0) - 1
        if int(run[-1]) + 1 != len(torch.unique(flat)):
            raise UsageError(
                "segment must keep the tokens of a sequence together, got one that comes back",
                hint="sort the stream by segment",
            )
        place = torch.arange(len(flat), device=flat.device)
        first = place[starts]
        length = torch.bincount(run)[run]
        index = (place - first[run]).reshape(segment.shape)
        valid = torch.ones_like(segment, dtype=torch.bool)
        return cls(
            index, index, valid, run.reshape(segment.shape), length.reshape(segment.shape),
            torch.zeros_like(valid) if special is None else special, packed=True, contiguous=True,
        )  # fmt: skip

    def stream(self) -> "Positions":
        """The real tokens of a padded batch, row behind row; each row must have one."""
        real = self.valid.flatten().nonzero().squeeze(1)
        index, segment, length, special, valid = (
            t.flatten().index_select(0, real) for t in (self.index, self.segment, self.length, self.special, self.valid)
        )
        coordinate = index if self.coordinate is self.index else self.coordinate.flatten().index_select(0, real)
        return Positions(coordinate, index, valid, segment, length, special, packed=True, contiguous=True)

    @cached_property
    def layout(self) -> "Layout":
        """The padded batch that a stream could be; found once."""
        segment, index = self.segment.flatten(), self.index.flatten()
        width = int(self.length.max())
        to_place = segment * width + index
        first = (index == 0).nonzero()  # a text's pads are copies of its first token, so that all know their text
        to_token = first.expand(-1, width).flatten()
        to_token = to_token.index_copy(0, to_place, torch.arange(len(index), device=index.device))
        valid = torch.zeros_like(to_token, dtype=torch.bool).index_fill(0, to_place, True).view(-1, width)

        def padded(t: Shaped[Tensor, "*T"]) -> Shaped[Tensor, "B L"]:
            return t.flatten().index_select(0, to_token).view(-1, width)

        places = padded(self.index)
        coordinate = places if self.coordinate is self.index else padded(self.coordinate)
        special = padded(self.special) & valid
        p = Positions(coordinate, places, valid, padded(self.segment), padded(self.length), special, contiguous=True)
        return Layout(p, to_token, to_place)

    def at(self, coordinate: Num[Tensor, "*T"]) -> "Positions":
        """The same tokens at other coordinates: what a position policy returns."""
        return replace(self, coordinate=coordinate)


@dataclass(frozen=True)
class Layout:
    """Where the tokens of a stream stand in a padded batch, whose positions these are."""

    positions: Positions
    to_token: Int[Tensor, "places"]
    to_place: Int[Tensor, "N"]

    @property
    def worthwhile(self) -> bool:
        """Whether a fair share of the places is real tokens."""
        return len(self.to_token) <= 4 * len(self.to_place)

    def pad(self, x_TD: Shaped[Tensor, "*T D"]) -> Shaped[Tensor, "B L D"]:
        """What stands on pads is a copy of a real token's."""
        rows = x_TD.flatten(0, -2).index_select(0, self.to_token)
        return rows.view(*self.positions.index.shape, rows.shape[-1])

    def take(self, x_BLD: Shaped[Tensor, "B L D"]) -> Shaped[Tensor, "N D"]:
        return x_BLD.flatten(0, 1).index_select(0, self.to_place)


def readable(x: Tensor) -> bool:
    """Whether its numbers can be asked for: not while tracing, on fake tensors or on the meta device."""
    return type(x) is Tensor and x.device.type != "meta" and not torch.compiler.is_compiling()
