"""Who is asked: a module or how it is built, and what it claims of itself."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..positions import Composed, PositionalEncoding, Size
from .adapter import Adapter, NotAsked, Probe, adapted
from .inputs import SIZE, perturbed, seeded
from .reference import Reference

Module = PositionalEncoding | Adapter
SHORT = replace(SIZE, num_layers=1, max_seq_len=4)
FAR = replace(SIZE, d_model=32, num_layers=1, max_seq_len=2048)  # slow waves need width; bfloat16 counts to 256


@dataclass(frozen=True)
class Claims:
    """What the laws hold a module to; None where nothing is claimed, and then nothing is asked.

    order_aware: shuffling the tokens changes the mean of the outputs
    direction_aware: reversing them does
    shift_invariant: adding a constant to all coordinates does not
    limited: there is a longest text, so that weights belong to one length
    draws: in training each text has coordinates drawn for it
    reach: a text of this length uses every parameter
    formula, options: the paper's formula for the hooks of a PositionalEncoding, and what it is told
    """

    order_aware: bool | None = None
    direction_aware: bool | None = None
    shift_invariant: bool | None = None
    limited: bool = False
    draws: bool = False
    reach: int | None = None
    formula: Callable[..., Reference] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


def claimed(encoding: PositionalEncoding) -> Claims:
    """The facts on its class, which are those of its default options; of a sum, those of its parts."""
    parts = encoding.each() if isinstance(encoding, Composed) else [encoding]
    return Claims(
        order_aware=any(_overrides(part, "embed", "rotate", "bias") for part in parts),
        direction_aware=any(part.direction_aware for part in parts),
        shift_invariant=all(part.shift_invariant for part in parts),
        limited=any(part.length_limit != "none" for part in parts),
        reach=200,  # no table of ours is longer at its default options
    )


def _overrides(encoding: PositionalEncoding, *hooks: str) -> bool:
    return any(getattr(type(encoding), hook) is not getattr(PositionalEncoding, hook) for hook in hooks)


@dataclass(frozen=True)
class Subject:
    """Each law gets a module of its own: built with perturbed parameters, or a copy of the one that was given."""

    given: Module | Callable[[Size], Module]
    claims: Claims = Claims()

    def at(self, size: Size = SIZE, seed: int = 0) -> Module:
        if isinstance(self.given, PositionalEncoding | Adapter):
            return copy.deepcopy(self.given)
        with seeded(seed):
            return perturbed(self.given(size))

    def adapter(self, size: Size = SIZE) -> Adapter:
        return adapted(self.at(size)).eval()

    def probe(self, size: Size = SIZE, seed: int = 0) -> Probe:
        return Probe(adapted(self.at(size, seed))).eval()

    @property
    def is_built_here(self) -> bool:
        return not isinstance(self.given, PositionalEncoding | Adapter)

    @property
    def is_ours(self) -> bool:
        return isinstance(self.at(), PositionalEncoding)

    def rebuilt(self) -> "Subject":
        """Itself, where it can be built again."""
        if not self.is_built_here:
            raise NotAsked("it was given built: give a function of a Size")
        return self

    def hooks(self) -> PositionalEncoding:
        found = self.at()
        if isinstance(found, Adapter):
            raise NotAsked("it is a law of the hooks of a PositionalEncoding")
        return found
