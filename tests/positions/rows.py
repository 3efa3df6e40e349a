"""The table that every law runs over, and the small models around its rows.

A new encoding is one file in src/scriptchain/positions, one reference in references.py and one row here.
Every parameter is perturbed, so that no law holds only at a special start, and every draw has a seed.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch

from scriptchain import positions
from scriptchain.config import make
from scriptchain.conformance import inputs
from scriptchain.conformance.inputs import (  # noqa: F401 - the tests of other folders take them from here
    SAME,
    SIZE,
    VOCAB,
    difference,
    draw,
    padding,
    perturbed,
    scatter,
    streams,
    texts,
)
from scriptchain.model.pipeline import Network
from scriptchain.positions import Once, PositionalEncoding, Size

from . import references
from .references import Reference

torch.set_num_threads(1)

CLASSES = 3
SMALL = {
    "d_model": SIZE.d_model, "num_heads": SIZE.num_heads, "num_layers": SIZE.num_layers,
    "max_seq_len": SIZE.max_seq_len, "d_feedforward": 16, "embedding_std": 1.0,
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """An encoding, its options, and what it claims; at default options the claims are the facts on the class."""

    name: str
    reference: Callable[..., Reference]
    options: Mapping[str, Any] = field(default_factory=dict)
    direction_aware: bool = False
    shift_invariant: bool = True
    limited: bool = False  # there is a longest text
    order_aware: bool = True  # shuffling the tokens changes the pooled logits
    reach: int = SIZE.max_seq_len  # a text of this length uses every parameter

    @property
    def id(self) -> str:
        return "-".join([self.name, *(f"{key}={value}" for key, value in self.options.items())])

    def at(self, **options: Any) -> dict[str, Any]:
        return {**self.options, **options}


ABSOLUTE: Any = {"direction_aware": True, "shift_invariant": False}
DISTANCE: Any = {"direction_aware": True}
COMPOSED: Any = [
    ((references.Offset, references.Sinusoidal), {"offset": {"offset": 3}}, ABSOLUTE),
    ((references.Randomized, references.Rope), {"randomized": {"seed": 3}}, DISTANCE),
    ((references.Randomized, references.Fire), {}, DISTANCE),
    ((references.Learned, references.Alibi, references.Rope), {}, {**ABSOLUTE, "limited": True}),
    ((references.Shaw, references.Deberta), {"shaw": {"reach": 3}, "deberta": {"reach": 3}}, DISTANCE),
]
ROWS = [
    Row("none", references.Reference, order_aware=False),
    Row("learned", references.Learned, **ABSOLUTE, limited=True),
    Row("learned", references.Learned, {"num_positions": 16, "std": 0.5}, **ABSOLUTE, limited=True, reach=16),
    Row("sinusoidal", references.Sinusoidal, **ABSOLUTE),
    Row("sinusoidal", references.Sinusoidal, {"base": 100.0, "scale": 0.5}, **ABSOLUTE),
    Row("sinusoidal", references.Sinusoidal, {"layout": "interleaved", "learnable": True}, **ABSOLUTE),
    Row("rope", references.Rope, direction_aware=True),
    Row("rope", references.Rope, {"layout": "interleaved", "base": 100.0}, direction_aware=True),
    Row("rope", references.Rope, {"partial": 0.5}, direction_aware=True),
    Row("rope", references.Rope, {"p": 0.5, "learnable": True}, direction_aware=True),
    Row("rope", references.Rope, {"learnable": True}, direction_aware=True),
    Row("rope", references.Rope, {"scaling": "linear", "factor": 2.0}, direction_aware=True),
    Row("rope", references.Rope, {"scaling": "ntk", "factor": 4.0, "learnable": True}, direction_aware=True),
    Row("pope", references.Pope, direction_aware=True),
    Row("pope", references.Pope, {"base": 20.0}, direction_aware=True),
    Row("pope", references.Pope, {"learnable": False}),
    Row("alibi", references.Alibi, direction_aware=True),
    Row("alibi", references.Alibi, {"symmetric": True}),
    Row("alibi", references.Alibi, {"learnable": False}, direction_aware=True),
    Row("t5_bias", references.T5Bias, direction_aware=True, reach=150),
    Row("t5_bias", references.T5Bias, {"num_buckets": 8, "max_distance": 8}, direction_aware=True),
    Row("toeplitz", references.Toeplitz, direction_aware=True, reach=70),
    Row("toeplitz", references.Toeplitz, {"reach": 3}, direction_aware=True),
    Row("kerple", references.Kerple, direction_aware=True),
    Row("kerple", references.Kerple, {"kind": "power"}, direction_aware=True),
    Row("cpb", references.Cpb, direction_aware=True),
    Row("cpb", references.Cpb, {"hidden": 3}, direction_aware=True),
    Row("fire", references.Fire, direction_aware=True),
    Row("fire", references.Fire, {"hidden": 8, "threshold": 20.0}, direction_aware=True),
    Row("sandwich", references.Sandwich, direction_aware=True),
    Row("sandwich", references.Sandwich, {"learnable": False}, direction_aware=True),
    Row("sandwich", references.Sandwich, {"symmetric": True, "base": 100.0}),
    Row("shaw", references.Shaw, direction_aware=True, reach=20),
    Row("shaw", references.Shaw, {"reach": 3, "values": False}, direction_aware=True),
    Row("transformer_xl", references.TransformerXl, direction_aware=True),
    Row("deberta", references.Deberta, direction_aware=True, reach=36),
    Row("deberta", references.Deberta, {"reach": 3}, direction_aware=True),
    Row("tupe", references.Tupe, **ABSOLUTE, limited=True),
    Row("tupe", references.Tupe, {"reach": 3}, **ABSOLUTE, limited=True),
    Row("cope", references.Cope, direction_aware=True, reach=200),
    Row("cope", references.Cope, {"num_positions": 4}, direction_aware=True),
    Row("forgetting", references.Forgetting, direction_aware=True),
    Row("distance_profile", references.DistanceProfile, direction_aware=True, reach=70),
    Row("distance_profile", references.DistanceProfile, {"reach": 3, "profiles": 2}, direction_aware=True),
    Row("convolutional", references.Convolutional, direction_aware=True),
    Row("convolutional", references.Convolutional, {"kernel": 5}, direction_aware=True),
    Row("convolutional", references.Convolutional, {"mix": True}, direction_aware=True),
    Row("fourier", references.Fourier, **ABSOLUTE),
    Row("fourier", references.Fourier, {"base": 200.0, "std": 0.1}, **ABSOLUTE),
    Row("persistent", references.Persistent, **ABSOLUTE),
    Row("persistent", references.Persistent, {"base": 200.0, "hidden": 3}, **ABSOLUTE),
    Row("offset", references.Offset, order_aware=False),
    Row("grouped", references.Grouped, order_aware=False),
    Row("shape", references.Reference, order_aware=False),
    Row("cape", references.Reference, order_aware=False),
    Row("randomized", references.Randomized, limited=True, order_aware=False),
    *(
        Row("+".join(part.__name__.lower() for part in parts), references.composed(*parts), options, **claims)
        for parts, options, claims in COMPOSED
    ),
]


ALONE = [row for row in ROWS if "+" not in row.name]


def rows(chosen: Iterable[Row] = ROWS) -> pytest.MarkDecorator:
    """Runs a test once a row: `@rows()`, or `@rows(row for row in ROWS if row.limited)`."""
    return pytest.mark.parametrize("row", [pytest.param(row, id=row.id) for row in chosen])


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    """What a test builds without a seed is the same whichever tests ran before it (a conftest.py imports this)."""
    with inputs.seeded():
        yield


def build(row: Row, size: Size = SIZE) -> PositionalEncoding:
    """The row's encoding, perturbed."""
    with inputs.seeded():
        return perturbed(positions.build(row.name, size, row.options))


def network(row: Row, **config: Any) -> Network:
    """A tiny perturbed classifier with the row's encoding, built as users build it."""
    values = {**SMALL, "positions": row.name, "positions_options": dict(row.options), **config}
    with inputs.seeded():
        return perturbed(Network(make(values), VOCAB, CLASSES))


def network_around(encoding: PositionalEncoding, **config: Any) -> Network:
    """The same around any encoding at the first layer; the encoding itself is left as it is."""
    plain = network(ROWS[0], **config)
    plain.encoder.encodings = Once(encoding)
    return plain.eval()
