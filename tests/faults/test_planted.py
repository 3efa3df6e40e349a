"""What the proofs of this folder are worth: each safeguard is taken out, and the proof that stands on it must fail."""

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from scriptchain import durable
from scriptchain.errors import ScriptChainError
from scriptchain.runtime import bundle
from scriptchain.training import checkpoint, loop, state

from . import bundles, test_folders, test_resume, test_training_job
from .test_resume import EARLY_BEST, flip, newest, result


def run(folder: Path | None, steps: int | None = None):
    return test_resume.run(folder, steps, **EARLY_BEST)


@pytest.fixture(scope="module")
def unbroken():
    return result(*run(None))


def without_tensors(*endings: str):
    def restore(real, self: state.State, tensors: dict[str, torch.Tensor], numbers: bytes) -> None:
        real(self, {k: torch.zeros_like(v) if k.endswith(endings) else v for k, v in tensors.items()}, numbers)

    return restore


def without_average(real, self: state.State, tensors: dict[str, torch.Tensor], numbers: bytes) -> None:
    fresh = {key: one.clone() for key, one in self.average.network.state_dict().items()}
    real(self, tensors, numbers)
    self.average.network.load_state_dict(fresh)


def without_place(real, self: state.State, tensors: dict[str, torch.Tensor], numbers: bytes) -> None:
    real(self, tensors, numbers)
    self.at.batch = 0


def without_best(real, self: state.State, tensors: dict[str, torch.Tensor], numbers: bytes) -> None:
    real(self, tensors, numbers)
    self.best.epoch, self.best.score, self.best.weights = 0, None, None


FORGOTTEN = {
    "first moments": without_tensors(".exp_avg"), "second moments": without_tensors(".exp_avg_sq"),
    "count of steps": without_tensors(".step"), "average": without_average, "place in the epoch": without_place,
    "best epoch": without_best,
}  # fmt: skip


@pytest.mark.parametrize("forgotten", FORGOTTEN)
def test_t2_a_part_of_the_state_that_is_not_put_back_is_found(forgotten, tmp_path, monkeypatch, unbroken):
    run(tmp_path, steps=15)  # in the middle of the third of four epochs
    real, planted = state.State.restore, FORGOTTEN[forgotten]
    monkeypatch.setattr(state.State, "restore", lambda self, tensors, numbers: planted(real, self, tensors, numbers))
    assert result(*run(tmp_path)) != unbroken


def test_t2_a_random_state_that_is_not_put_back_is_found(tmp_path, monkeypatch, unbroken):
    run(tmp_path, steps=15)
    monkeypatch.setattr(state, "_set_random", lambda states: None)
    assert result(*run(tmp_path)) != unbroken


def test_t11_rows_in_the_order_of_the_first_epoch_are_found(tmp_path, monkeypatch, unbroken):
    run(tmp_path, steps=15)
    real = loop.order_stream
    monkeypatch.setattr(loop, "order_stream", lambda seed, epoch: real(seed, 1))
    assert result(*run(tmp_path)) != unbroken


def test_t8_a_checkpoint_that_is_not_hashed_is_found(tmp_path, monkeypatch, unbroken):
    run(tmp_path, steps=9)
    flip(newest(tmp_path)[0])
    monkeypatch.setattr(checkpoint, "_whole", Path.read_bytes)
    assert result(*run(tmp_path)) != unbroken


def test_c7_a_lock_that_does_not_lock_is_found(tmp_path, monkeypatch, tiny_run):
    monkeypatch.setattr(durable, "locked", lambda path: nullcontext())
    with pytest.raises((AssertionError, pytest.fail.Exception, ScriptChainError)):
        test_training_job.test_c7_two_trainings_of_one_name(tmp_path, tiny_run)


def test_m2_hashes_that_are_not_checked_are_found(monkeypatch, tiny_run):
    class Equal(str):
        __slots__ = ()
        __ne__ = lambda self, other: False  # noqa: E731
        __hash__ = str.__hash__

    monkeypatch.setattr(bundle.hashlib, "sha256", lambda content: SimpleNamespace(hexdigest=lambda: Equal("0")))
    cases = [case for case in bundles.cases() if case.family == "flipped"][::20]
    accepted = [case.what for case in cases if bundles.tried(case, tiny_run, test_folders.Blind()).wrong]
    assert accepted
