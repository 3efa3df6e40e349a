"""Each law must catch its own fault: what is broken on purpose fails the check, and says why."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from scriptchain.conformance.adapter import adapted
from scriptchain.conformance.backends import check_backends, check_trace, check_traced_network
from scriptchain.conformance.compiling import check_compile
from scriptchain.conformance.counting import check_counting
from scriptchain.conformance.gradients import check_gradients, check_reach
from scriptchain.conformance.half import LONG_SIZE, check_half, check_half_outputs
from scriptchain.conformance.inputs import SIZE, padding, perturbed, scatter, streams, texts
from scriptchain.conformance.memory import check_memory
from scriptchain.conformance.mirror import check_mirror
from scriptchain.conformance.order import ORDERS, check_order
from scriptchain.conformance.packing import check_packing
from scriptchain.conformance.padding import LENGTHS, WIDTH, check_empty, check_padding
from scriptchain.conformance.parameters import check_parameters
from scriptchain.conformance.policies import check_policy
from scriptchain.conformance.reference import check_reference
from scriptchain.conformance.save_load import check_other_length, check_round_trip
from scriptchain.conformance.shapes import check_shapes
from scriptchain.conformance.shift import check_shift
from scriptchain.conformance.sign import check_sign
from scriptchain.conformance.start import check_start
from scriptchain.conformance.subject import FAR
from scriptchain.positions import (
    Alibi,
    EveryLayer,
    Learned,
    NoPositions,
    Once,
    PositionalEncoding,
    Positions,
    Sinusoidal,
    T5Bias,
    Toeplitz,
)
from scriptchain.positions._positions import Layout

from . import broken, references
from .rows import Row, network_around
from .test_compile import report
from .test_containers import check_layers
from .test_names import check_claims, check_facts, check_names

LEFT, RIGHT = padding(LENGTHS, WIDTH, "left"), padding(LENGTHS, WIDTH, "right")


@dataclass(frozen=True)
class Tooth:
    """A law, a fault, the check of the one on the other, and the words that it must fail with."""

    law: str
    fault: str
    bite: Callable[[], None]
    says: str


def around(encoding: type[PositionalEncoding], **config):
    return network_around(encoding(SIZE), **config)


def attending(attend: Callable[..., torch.Tensor], check: Callable[[], None]) -> Callable[[], None]:
    """The check with another attention in every network."""

    def bite() -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("scriptchain.model.block.attend", attend)
            check()

    return bite


def as_one_batch(check: Callable[[], None]) -> Callable[[], None]:
    """The check where no stream is laid out as a padded batch, so that a mask alone keeps texts apart."""

    def bite() -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Layout, "worthwhile", False)
            check()

    return bite


def kept_by_length() -> None:
    network = around(broken.KeptByLength)
    network(scatter(texts(*LENGTHS), RIGHT), RIGHT)
    check_padding(network, LEFT)


def raw_counting() -> None:
    p = Positions.from_mask(LEFT)
    column = torch.arange(WIDTH).expand_as(p.index)
    check_counting(Positions(column, column, p.valid, p.segment, p.length, p.special), LEFT)


def claims(encoding: type[PositionalEncoding], **claimed: bool) -> None:
    check_claims(encoding, Row("learned", references.Learned, **claimed))


def equals_waves(encoding: type[PositionalEncoding], options: dict) -> None:
    check_reference(encoding(SIZE), references.Sinusoidal, options, streams()[1])


def far(encoding: type[PositionalEncoding]) -> None:
    check_half_outputs(adapted(perturbed(encoding(FAR))), FAR.max_seq_len, torch.bfloat16)


def uncompiled(fault: str) -> None:
    check_compile(report(*(each.__name__ for each in broken.UNCOMPILED))[fault])


class IMinusJ(references.Reference):
    def bias(self, x_LD, q_LHE, k_LHE, t):
        return (t[:, None] - t[None, :])[None].repeat(2, 0)


HUNDRED = {"base": 100.0}

TEETH = [
    Tooth("names", "a file without a row", lambda: check_names({"none"}, {"none", "rope"}), "rope"),
    Tooth("names", "a row without a file", lambda: check_names({"none", "rope"}, {"none"}), "rope"),
    Tooth("names", "no source", lambda: check_facts(broken.Stateless, "broken"), "source must be one arXiv id"),
    Tooth("names", "another stem", lambda: check_facts(Learned, "learnt"), "stem must be the name"),
    Tooth("names", "a claim too much", lambda: claims(NoPositions, direction_aware=True), "direction_aware"),
    Tooth("names", "a claim too little", lambda: claims(Learned, direction_aware=True), "shift_invariant"),
    Tooth(
        "names", "a limit unsaid",
        lambda: claims(Learned, direction_aware=True, shift_invariant=False), "length_limit",
    ),
    Tooth("positions", "columns for indices", raw_counting, "index must count"),
    Tooth("shapes", "float32 comes out", lambda: check_shapes(
        broken.Promotes(SIZE), streams()[0], torch.bfloat16
    ), "keep the number type"),
    Tooth("shapes", "an axis lost", lambda: check_shapes(broken.Flattens(SIZE), streams()[0]), "keep the shape"),
    Tooth("shapes", "queries alone grow", lambda: check_shapes(broken.OneSideWider(SIZE), streams()[0]), "one width"),
    Tooth("shapes", "no heads", lambda: check_shapes(broken.HeadlessBias(SIZE), streams()[2]), "heads x queries"),
    Tooth("gradients", "detached", lambda: check_gradients(broken.Detached(SIZE), streams(4)[0]), "finite differences"),
    Tooth("gradients", "twice", lambda: check_gradients(
        broken.WrongGradient(SIZE), streams(4)[0]
    ), "finite differences"),
    Tooth("gradients", "detached rows", lambda: check_reach(broken.Detached(SIZE), 12), "no gradient reaches table"),
    Tooth("gradients", "never read", lambda: check_reach(broken.Idle(SIZE), 12), "no gradient reaches table"),
    Tooth("gradients", "seen by no softmax", lambda: check_reach(broken.Unseen(SIZE), 12), "numbers of constant"),
    Tooth("gradients", "clipped", lambda: check_reach(broken.Clipped(SIZE), 12), "reaches 64 numbers of table"),
    Tooth("gradients", "a text too short", lambda: check_reach(Learned(SIZE), 11), "reaches 8 numbers of table"),
    Tooth("reference", "from 1", lambda: equals_waves(broken.OffByOne, HUNDRED), "embed must equal"),
    Tooth("reference", "other options", lambda: equals_waves(Sinusoidal, HUNDRED), "embed must equal"),
    Tooth("reference", "from the column", lambda: equals_waves(broken.RawColumn, HUNDRED), "embed must equal"),
    Tooth("reference", "nothing at all", lambda: equals_waves(NoPositions, HUNDRED), "embed must equal"),
    Tooth(
        "reference", "j - i",
        lambda: check_reference(broken.MirroredBias(SIZE), IMinusJ, {}, streams()[0]), "bias must equal",
    ),
    Tooth(
        "reference", "no bias",
        lambda: check_reference(NoPositions(SIZE), IMinusJ, {}, streams()[0]), "bias must not be None",
    ),
    Tooth("order", "a bag of words", lambda: check_order(around(NoPositions), ORDERS[0], True), "must change"),
    Tooth("order", "order where none is", lambda: check_order(around(Sinusoidal), ORDERS[0], False), "must not change"),
    Tooth("containers", "only the first layer", lambda: check_layers(Once(T5Bias(SIZE)), False), "must have"),
    Tooth(
        "containers",
        "one table for all",
        lambda: check_layers(EveryLayer(lambda: T5Bias(SIZE), 2, shared=True), False),
        "must be kept",
    ),
    Tooth(
        "start",
        "moved at birth",
        lambda: check_start(perturbed(Toeplitz(SIZE)), NoPositions(SIZE), streams()[0]),
        "must start at",
    ),
    Tooth("start", "fixed", lambda: check_start(NoPositions(SIZE), NoPositions(SIZE), streams()[0]), "must learn"),
    Tooth("start", "not static", lambda: check_start(Alibi(SIZE), Alibi(SIZE), streams()[0]), "must not learn"),
    Tooth("policies", "one draw for all", lambda: check_policy(broken.OneDraw(SIZE), streams()[0]), "draw of its own"),
    Tooth("policies", "drawn at test", lambda: check_policy(
        broken.DrawsAlways(SIZE), streams()[0]
    ), "outside training"),
    Tooth("policies", "no draw", lambda: check_policy(broken.Stateless(SIZE), streams()[0]), "draw anew"),
    Tooth("policies", "tokens that overtake", lambda: check_policy(
        broken.Overtakes(SIZE), streams()[0]
    ), "order of tokens"),
    Tooth("mirror", "a symmetric bias", lambda: check_mirror(around(broken.Symmetric), True), "must change"),
    Tooth("mirror", "a claim unsaid", lambda: check_mirror(around(Sinusoidal), False), "must not change"),
    Tooth("shift", "absolute waves", lambda: check_shift(around(Sinusoidal), 1, True), "must not change"),
    Tooth("shift", "a relative bias", lambda: check_shift(around(broken.Symmetric), 1, False), "must change"),
    Tooth("padding", "columns for indices", lambda: check_padding(around(broken.RawColumn), LEFT), "pads must not"),
    Tooth("padding", "a mean over pads", lambda: check_padding(around(broken.SeesPads), RIGHT), "pads must not"),
    Tooth("padding", "kept by length", kept_by_length, "pads must not"),
    Tooth(
        "padding", "pads as keys",
        attending(broken.attend_all_keys, lambda: check_padding(around(Sinusoidal), RIGHT)), "pads must not",
    ),
    Tooth(
        "padding", "0 / 0",
        attending(broken.attend_no_empty, lambda: check_empty(around(Sinusoidal, pooling="cls"))), "finite logits",
    ),
    Tooth(
        "memory", "kept by length",
        lambda: check_memory(adapted(broken.KeptByLength(SIZE)), 12), "a batch of another padding must not change",
    ),
    Tooth("packing", "columns for indices", lambda: check_packing(around(broken.RawColumn), False), "packed texts"),
    Tooth(
        "packing", "texts that see each other",
        as_one_batch(attending(broken.attend_one_segment, lambda: check_packing(around(Sinusoidal), True))),
        "packed texts",
    ),
    Tooth(
        "half", "angles in bfloat16",
        lambda: check_half(broken.HalfAngles(LONG_SIZE), references.Sinusoidal, {}, torch.bfloat16), "embed must equal",
    ),
    Tooth(
        "half", "frequencies that are cast",
        lambda: check_half(broken.CastBuffer(LONG_SIZE), references.Sinusoidal, {}, torch.bfloat16), "embed must equal",
    ),
    Tooth(
        "half", "rows in bfloat16",
        lambda: check_half(
            perturbed(broken.HalfRow(LONG_SIZE)), references.Learned, {}, torch.bfloat16
        ), "embed must equal",
    ),
    Tooth("half", "no formula: angles", lambda: far(broken.HalfAngles), "must move no position"),
    Tooth("half", "no formula: frequencies", lambda: far(broken.CastBuffer), "must move no position"),
    Tooth("half", "no formula: rows", lambda: far(broken.HalfRow), "must move no position"),
    Tooth(
        "save_load", "numbers that nobody saves",
        lambda: check_round_trip(
            network_around(broken.Unsaved(SIZE, seed=1)), network_around(broken.Unsaved(SIZE, seed=2))
        ), "must be what is loaded",
    ),
    Tooth(
        "save_load", "nothing to load",
        lambda: check_round_trip(around(Sinusoidal), around(Sinusoidal)), "must differ before it is loaded",
    ),
    Tooth("save_load", "a buffer of one length", lambda: check_other_length(
        lambda length: network_around(broken.SizedBuffer(_size(length)))
    ), "weights must fit every length"),
    Tooth("save_load", "a share of the length", lambda: check_other_length(
        lambda length: network_around(broken.RescaledByLength(_size(length)))
    ), "length must change no logit"),
    Tooth("sign", "keys by queries", lambda: check_sign(broken.attend_transposed, "auto", False), "must see key"),
    Tooth("sign", "packed", lambda: check_sign(broken.attend_transposed, "dense", True), "must see key"),
    Tooth("backends", "no bias in one", lambda: check_backends(
        broken.attend_fused_forgets_bias, streams()[0], "each"
    ), "fused must equal dense"),
    Tooth("backends", "no gradient in one", lambda: check_backends(
        broken.attend_fused_detaches_bias, streams()[0], "each"
    ), "gradient of bias"),
    Tooth("backends", "half weights", lambda: check_trace(
        broken.attend_traces_logits, streams()[0], "each"
    ), "must sum to 1"),
    Tooth("backends", "pads have weight", lambda: check_trace(
        broken.attend_all_keys, streams()[0], "none"
    ), "pads and of other texts must be 0"),
    Tooth("backends", "texts see each other", lambda: check_trace(
        broken.attend_one_segment, streams()[2], "none"
    ), "pads and of other texts must be 0"),
    Tooth("backends", "another scale when traced", lambda: check_trace(
        broken.attend_traced_differs, streams()[0], "none"
    ), "must not change the output"),
    Tooth(
        "backends", "another network when traced",
        attending(broken.attend_traced_differs, lambda: check_traced_network(around(Sinusoidal))),
        "must not change the logits",
    ),
    Tooth("compile", "a graph a length", lambda: uncompiled("BranchesOnLength"), "compiled [2-9] times"),
    Tooth("compile", "a number from a tensor", lambda: uncompiled("AsksTheDevice"), "as one graph"),
    Tooth("parameters", "miscounted", lambda: check_parameters(broken.Miscounted, SIZE), "count of learned numbers"),
    Tooth("parameters", "frozen", lambda: check_parameters(broken.Frozen, SIZE), "parameters must learn"),
    Tooth("parameters", "unsaid", lambda: check_parameters(_Silent, SIZE), "learns must say"),
]  # fmt: skip


class _Silent(broken.Miscounted):
    learns = "nothing"

    @classmethod
    def num_parameters(cls, size):
        return size.max_seq_len * size.d_model


def _size(length: int):
    return type(SIZE)(SIZE.d_model, SIZE.num_heads, SIZE.num_layers, length)


@pytest.mark.parametrize("tooth", [pytest.param(tooth, id=f"{tooth.law}: {tooth.fault}") for tooth in TEETH])
def test_the_law_bites(tooth):
    with pytest.raises(AssertionError, match=tooth.says):
        tooth.bite()


def test_every_law_has_a_tooth():
    laws = {file.stem.removeprefix("test_") for file in Path(__file__).parent.glob("test_*.py")} - {"teeth"}
    assert laws == {tooth.law for tooth in TEETH}


def test_what_is_right_is_let_pass():
    """The faults are faults of their encodings, not of the networks around them."""
    network = around(broken.Stateless)
    check_padding(network, LEFT)
    check_packing(network, True)
    check_order(network, ORDERS[0], True)
    check_order(around(broken.Symmetric), ORDERS[0], True)  # a symmetric bias knows the order, not the direction
    check_mirror(network, True)
    check_shift(network, 3, False)
    check_shift(around(broken.Symmetric), 3, True)
    check_shapes(broken.Stateless(SIZE), streams()[0], torch.bfloat16)
    check_reference(broken.Stateless(SIZE), references.Sinusoidal, HUNDRED, streams()[1])
    check_half(broken.Stateless(LONG_SIZE), references.Sinusoidal, HUNDRED, torch.bfloat16)
    far(broken.Stateless)
    check_memory(adapted(broken.Stateless(SIZE)), 12)
    check_padding(around(broken.KeptByLength), RIGHT)  # right as long as every batch is padded alike
