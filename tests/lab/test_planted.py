"""The quick part of `benchmarks/planted`: each disease is found where it was planted, and nowhere else."""

import importlib.util
import sys
from pathlib import Path

import pytest

from scriptchain.lab import examine
from scriptchain.lab.thresholds import THRESHOLDS


def load_plants():
    path = Path(__file__).parents[2] / "benchmarks/planted/plants.py"
    spec = importlib.util.spec_from_file_location("planted_plants", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look themselves up
    spec.loader.exec_module(module)
    return module


plants = load_plants()
TRAINED = ("label_noise", "blind_to_order", "order_free")


def holding(subject) -> set[str]:
    trained = subject.batches[0].labels is not None
    batches = subject.batches if trained else subject.batches[:1]  # 64 texts
    data = examine(subject.module, batches, weights=subject.weights, held_out=subject.held_out).to_dict()
    return {name for name, verdict in data["verdicts"].items() if verdict["state"] == "HOLDS"}


def at(case) -> tuple[int, str]:
    """Six layers where the fault shows there; training is dear, and three layers are enough for it."""
    depth = 3 if case.name in TRAINED else 6 if 6 in case.depths else case.depths[0]
    return depth, case.norms[len(case.name) % len(case.norms)]


@pytest.mark.parametrize("name", plants.PLANTS)
def test_a_plant_is_found_and_nothing_else(name):
    case = plants.PLANTS[name]
    found = holding(case.build(1.0, *at(case), 0))
    assert set(case.target) <= found
    assert found <= case.allowed


@pytest.mark.parametrize("name", [name for name, case in plants.PLANTS.items() if name not in TRAINED])
def test_dose_zero_is_the_healthy_stack(name):
    """So one examination of it stands for all of them."""
    case, batch = plants.PLANTS[name], plants.corpus(0, 64)[0]
    twin, healthy = case.build(0.0, *at(case), 0).module, plants.healthy(*at(case), 0).module
    difference = twin.eval()(batch.inputs, batch.mask) - healthy.eval()(batch.inputs, batch.mask)
    assert float(difference.detach().abs().max()) < 1e-5


def test_a_gradient_beyond_all_numbers_has_exploded():
    subject = plants.PLANTS["no_norm_gain_two"].build(1.0, 12, "pre", 0)
    assert "stream_gradient_exploding" in holding(subject)


@pytest.mark.parametrize("norm", plants.NORMS)
def test_a_healthy_stack_has_nothing(norm):
    assert holding(plants.healthy(6, norm, 0)) == set()


@pytest.mark.parametrize("name", ["anisotropic", "causal", "deep_norm", "order_free", "rope", "sharp_heads"])
def test_what_looks_ill_and_is_not(name):
    case = plants.LOOKALIKES[name]
    found = holding(case.build(1.0, *at(case), 0))
    assert set(case.target) <= found <= case.allowed


def test_every_verdict_is_tried():
    cases = [*plants.PLANTS.values(), *plants.LOOKALIKES.values()]
    assert {name for case in cases for name in case.target} == set(THRESHOLDS)
