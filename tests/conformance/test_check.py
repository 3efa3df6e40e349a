"""`check` over encodings of ours, over what is broken on purpose, and over modules of other people."""

import itertools

import pytest
import torch
from torch import nn

from scriptchain.conformance import LAWS, Adapter, Claims, NotAsked, check
from scriptchain.conformance.inputs import SIZE, perturbed
from scriptchain.errors import UsageError
from scriptchain.positions import Learned, NoPositions, Rope, Shape, Sinusoidal, Size, T5Bias

from ..positions import broken, references
from ..positions.test_teeth import IMinusJ

# Dynamo cannot trace the type checks that pytest puts on the package.
TRACED = [law for law in LAWS if law != "compile"]
ABSOLUTE = Claims(order_aware=True, direction_aware=True, shift_invariant=False)
WAVES = Claims(formula=references.Sinusoidal, options={"base": 100.0})
seeds = itertools.count()


@pytest.mark.parametrize("encoding", [Learned, NoPositions, Rope, Sinusoidal, T5Bias])
def test_ours_holds(encoding):
    verdict = check(encoding, laws=TRACED)
    assert verdict.ok, verdict["fails"]
    assert {"shapes", "order", "mirror", "shift", "padding left", "packing", "gradients", "reach", "saving"} <= set(
        verdict["holds"]
    )
    assert verdict["not_asked"].keys() <= {"policy", "formula", "length"}


def test_a_sum_and_a_policy_hold():
    assert check(lambda size: Sinusoidal(size) + Rope(size), laws=TRACED).ok
    assert check(Shape, Claims(draws=True), laws=["policy"]).ok


FAULTS = {
    "RawColumn": ("padding left", None),
    "SeesPads": ("padding right", None),
    "KeptByLength": ("memory", None),
    "Detached": ("gradients", None),
    "Clipped": ("reach", Claims(reach=12)),
    "Idle": ("reach", Claims(reach=12)),
    "WrongGradient": ("gradients", None),
    "HalfAngles": ("bfloat16", None),
    "CastBuffer": ("bfloat16", None),
    "HalfRow": ("bfloat16", None),
    "Symmetric": ("mirror", Claims(direction_aware=True)),
    "Promotes": ("shapes", None),
    "Flattens": ("shapes", None),
    "OneSideWider": ("shapes", None),
    "HeadlessBias": ("shapes", None),
    "SizedBuffer": ("length", None),
    "RescaledByLength": ("length", None),
    "Miscounted": ("parameters", None),
    "Frozen": ("parameters", None),
    "OneDraw": ("policy", Claims(draws=True)),
    "DrawsAlways": ("policy", Claims(draws=True)),
    "Overtakes": ("policy", Claims(draws=True)),
    "OffByOne": ("formula", WAVES),
    "MirroredBias": ("formula", Claims(formula=IMinusJ)),
}


@pytest.mark.parametrize(("fault", "law", "claims"), [(name, *rest) for name, rest in FAULTS.items()], ids=FAULTS)
def test_a_planted_fault_fails_under_its_law(fault, law, claims):
    verdict = check(getattr(broken, fault), claims, laws=[law])
    assert law in verdict["fails"]
    assert not verdict.ok


def test_numbers_that_nobody_saves():
    verdict = check(lambda size: broken.Unsaved(size, seed=next(seeds)), laws=["saving"])
    assert verdict["fails"] == {"saving": "what was saved must be what is loaded"}


def test_what_is_right_fails_nowhere():
    assert not check(broken.Stateless, ABSOLUTE, laws=TRACED)["fails"].keys() - {"parameters"}


class Waves(Adapter):
    """A plain module of another library: sines of the column's number, and attention of torch."""

    def __init__(self, size: Size):
        super().__init__(size)
        self.attention = nn.MultiheadAttention(size.d_model, size.num_heads, batch_first=True)

    def outputs(self, x, mask):
        x = x + broken.waves(self.number(mask), x.shape[-1]).to(x.dtype)
        # A text without tokens would divide zero by zero: it may see its pads.
        return self.attention(x, x, x, key_padding_mask=~mask & mask.any(1, keepdim=True))[0]

    def number(self, mask):
        return torch.arange(mask.shape[1]).expand(mask.shape)


class Counted(Waves):
    """The same, with the number of the token."""

    def number(self, mask):
        return mask.cumsum(1) - 1


def test_a_module_of_others_passes_and_fails_as_it_should():
    laws = [law for law in TRACED if law != "gradients"]  # many parameters of an attention that is not ours
    right, wrong = (check(module, ABSOLUTE, laws=laws) for module in (Counted, Waves))
    assert right.ok, right["fails"]
    assert wrong["fails"].keys() == {"padding left", "padding anywhere"}
    assert "pads must not change the logits" in wrong["fails"]["padding left"]


def test_what_is_not_asked_is_no_pass():
    verdict = check(Waves, laws=["order", "shift", "packing", "parameters"])
    assert verdict["holds"] == []
    assert verdict["fails"] == {}
    assert verdict["not_asked"] == {
        "order": "nothing is claimed of order",
        "shift": "nothing is claimed of shifts",
        "packing": "it takes no packed stream",
        "parameters": "it is a law of the hooks of a PositionalEncoding",
    }
    assert not verdict.ok
    assert check(Waves, ABSOLUTE, laws=["shift"])["not_asked"] == {"shift": "it takes no coordinates"}


def test_what_is_given_built_is_not_asked_about_other_sizes():
    encoding = perturbed(T5Bias(SIZE))  # it starts at "none", and is asked as it is
    before = {name: value.clone() for name, value in encoding.state_dict().items()}
    assert before
    verdict = check(encoding, laws=TRACED)
    assert verdict.ok, verdict["fails"]
    for law in ("bfloat16", "float16", "saving", "length"):
        assert verdict["not_asked"][law] == "it was given built: give a function of a Size"
    for name, value in encoding.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, before[name])


def test_whatever_a_module_raises_is_an_answer():
    class Raises(Waves):
        def outputs(self, x, mask):
            raise KeyError("no such\n thing")

    verdict = check(Raises, laws=["shapes", "padding left"])
    assert verdict["fails"] == dict.fromkeys(["shapes", "padding left"], r"KeyError: 'no such\n thing'")


def test_the_report_has_a_row_a_law():
    verdict = check(Waves, ABSOLUTE, laws=["order", "padding right", "packing"])
    assert verdict.to_dict() == {
        "module": "Waves", "holds": ["order", "padding right"], "fails": {},
        "not_asked": {"packing": "it takes no packed stream"},
    }  # fmt: skip
    assert verdict.to_markdown() == (
        "# conformance of Waves\n\n2 laws hold, 0 fail, 1 were not asked\n\n## laws\n\n| law | answer |\n|---|---|\n"
        "| order | holds |\n| padding right | holds |\n| packing | not asked: it takes no packed stream |\n"
    )


LINEAR = nn.Linear(2, 2)
KINDS = "subject must be a PositionalEncoding, an Adapter or a function of a Size, got"
HINT = "; hint: a subclass of scriptchain.conformance.Adapter around it"
REFUSED = {
    "a module": (LINEAR, {}, f"{KINDS} Linear{HINT}"),
    "a name": ("rope", {}, f"{KINDS} str{HINT}"),
    "what builds neither": (
        lambda size: LINEAR, {}, "subject must build a PositionalEncoding or an Adapter, got Linear",
    ),
    "short texts": (Learned(Size(8, 2, 1, 4)), {}, "max_seq_len must be at least 12, got 4"),
    "a law that is none": (Rope, {"laws": ["pads"]}, f"laws must be of {', '.join(LAWS)}, got 'pads'"),
}  # fmt: skip


@pytest.mark.parametrize(("subject", "more", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_asked_is_refused(subject, more, message):
    with pytest.raises(UsageError) as error:
        check(subject, **more)
    assert str(error.value) == message


def test_an_adapter_must_have_outputs():
    with pytest.raises(TypeError, match="outputs"):
        Adapter(SIZE)  # type: ignore[abstract]
    with pytest.raises(NotAsked, match="it takes no coordinates"):
        Waves(SIZE).outputs_at(torch.zeros(1, 1, 8), torch.ones(1, 1, dtype=torch.bool), torch.zeros(1, 1))
