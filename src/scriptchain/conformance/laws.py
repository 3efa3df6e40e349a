"""Every law that is asked of one module, by name; those of `attend` itself are in sign.py and backends.py."""

from collections.abc import Callable
from dataclasses import replace

import torch

from ..positions import Composed
from .adapter import NotAsked
from .compiling import check_compile, compiled
from .gradients import check_gradients, check_reach
from .half import check_half_outputs
from .inputs import SIZE, padding, streams
from .memory import check_memory
from .mirror import check_mirror
from .order import ORDERS, check_order
from .packing import check_packing
from .padding import ANYWHERE, LENGTHS, WIDTH, check_empty, check_padding
from .parameters import check_parameters
from .policies import check_policy
from .reference import check_reference
from .save_load import check_other_length, check_round_trip, other
from .shapes import check_outputs, check_shapes
from .shift import check_shift
from .subject import FAR, SHORT, Subject

RIGHT, LEFT = (padding(LENGTHS, WIDTH, side) for side in ("right", "left"))


def shapes(subject: Subject) -> None:
    if subject.is_ours:
        for p in streams():
            check_shapes(subject.hooks(), p, torch.bfloat16)
    for p in streams()[:2]:
        check_outputs(subject.adapter(), p)


def order(subject: Subject) -> None:
    aware, probe = _claim(subject.claims.order_aware, "order"), subject.probe()
    for one in ORDERS:
        check_order(probe, one, aware)


def mirror(subject: Subject) -> None:
    check_mirror(subject.probe(), _claim(subject.claims.direction_aware, "direction"))


def shift(subject: Subject) -> None:
    invariant = _claim(subject.claims.shift_invariant, "shifts")
    for by in (1, 5):
        check_shift(subject.probe(replace(SIZE, max_seq_len=2 * SIZE.max_seq_len)), by, invariant)


def packing(subject: Subject) -> None:
    for batched in (False, True):
        check_packing(subject.probe(), batched)


def gradients(subject: Subject) -> None:
    if not subject.adapter().float64:
        raise NotAsked("parts of it are computed in float32, where finite differences are noise")
    for number, p in enumerate(streams(4) if subject.is_ours else streams(4)[:2]):
        check_gradients(subject.at(SHORT), p, each=number == 0)


def reach(subject: Subject) -> None:
    length = subject.claims.reach
    if length is None:
        raise NotAsked("nothing is claimed of a text that uses every parameter")
    check_reach(subject.at(replace(SIZE, max_seq_len=max(length, SIZE.max_seq_len))), length)


def half(dtype: torch.dtype) -> Callable[[Subject], None]:
    def law(subject: Subject) -> None:
        check_half_outputs(subject.rebuilt().adapter(FAR), FAR.max_seq_len, dtype)

    return law


def memory(subject: Subject) -> None:
    check_memory(subject.adapter(FAR), 512 if subject.is_built_here else SIZE.max_seq_len)


def saving(subject: Subject) -> None:
    check_round_trip(subject.rebuilt().probe(), other(subject.probe(seed=1)))


def length(subject: Subject) -> None:
    if subject.claims.limited:
        raise NotAsked("there is a longest text by its claims")
    check_other_length(lambda longest: subject.rebuilt().probe(replace(SIZE, max_seq_len=longest)))


def parameters(subject: Subject) -> None:
    encoding = subject.hooks()
    if isinstance(encoding, Composed):
        raise NotAsked("a sum has the parameters of its parts")
    check_parameters(type(encoding), encoding.size)


def policy(subject: Subject) -> None:
    if not subject.claims.draws:
        raise NotAsked("nothing is claimed of random coordinates")
    for p in streams()[:3]:
        check_policy(subject.hooks(), p)


def formula(subject: Subject) -> None:
    if subject.claims.formula is None:
        raise NotAsked("no formula was given")
    for p in streams():
        check_reference(subject.hooks(), subject.claims.formula, subject.claims.options, p)


def _claim(value: bool | None, of: str) -> bool:
    if value is None:
        raise NotAsked(f"nothing is claimed of {of}")
    return value


LAWS: dict[str, Callable[[Subject], None]] = {
    "shapes": shapes,
    "order": order,
    "mirror": mirror,
    "shift": shift,
    "padding right": lambda subject: check_padding(subject.probe(), RIGHT),
    "padding left": lambda subject: check_padding(subject.probe(), LEFT),
    "padding anywhere": lambda subject: check_padding(subject.probe(), ANYWHERE),
    "no tokens": lambda subject: check_empty(subject.probe()),
    "packing": packing,
    "gradients": gradients,
    "reach": reach,
    "bfloat16": half(torch.bfloat16),
    "float16": half(torch.float16),
    "memory": memory,
    "saving": saving,
    "length": length,
    "parameters": parameters,
    "policy": policy,
    "formula": formula,
    "compile": lambda subject: check_compile(compiled(subject.probe())),
}
