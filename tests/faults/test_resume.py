"""T2, T8 to T13, T15, C6: a run goes on from any step to the same bytes, and from nothing but its own checkpoints."""

import io
import json
import os
import re
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch

from scriptchain import config
from scriptchain.errors import DivergedError, ModelError, UsageError
from scriptchain.model.pipeline import Network
from scriptchain.training import loop
from scriptchain.training.checkpoint import Checkpoints
from scriptchain.training.loop import Examples, Outcome, fit
from scriptchain.training.seed import seeded

# Everything that has a state of its own: dropout, hidden tokens, averaged weights, early stopping, pooled batches.
TINY = {"d_model": 16, "num_heads": 2, "num_layers": 1, "d_feedforward": 32, "max_seq_len": 8, "batch_size": 8,
        "epochs": 4, "learning_rate": 0.01, "dropout": 0.1, "token_dropout": 0.2, "weight_average": 0.9,
        "patience": 3, "sort_by_length": True}  # fmt: skip
ROWS = 44  # the last batch of an epoch is a short one
STEPS = 4 * 6


def examples(rows: int = ROWS, seed: int = 0) -> Examples:
    rng = np.random.default_rng(seed)
    labels = rng.integers(2, size=rows)
    ids = [np.concatenate([[4 + label], rng.integers(6, 20, size=rng.integers(1, 7))]) for label in labels]
    return Examples(ids, labels, np.ones(rows, np.float32))


def run(folder: Path | None, steps: int | None = None, job: dict | None = None, **changes) -> tuple[Network, Outcome]:
    """A run that asks to stop after so many steps of its own; a checkpoint is saved after every one."""
    made = config.resolve("small", overrides=TINY | changes)
    job = {"config": config.to_dict(made)} if job is None else job
    kept = None if folder is None else Checkpoints(folder, job, every=0.0)
    taken, step = [], loop.take_step
    with pytest.MonkeyPatch.context() as patch, seeded(made.seed):
        patch.setattr(loop, "take_step", lambda *arguments: (taken.append(1), step(*arguments))[1])
        network = Network(made, 20, 2)
        outcome = fit(
            network, examples(), made, validation=examples(seed=1), device="cpu", checkpoints=kept,
            stop=lambda: len(taken) == steps,
        )  # fmt: skip
    return network, outcome


def result(network: Network, outcome: Outcome) -> tuple[dict[str, bytes], list, int]:
    weights = {name: tensor.numpy().tobytes() for name, tensor in network.state_dict().items()}
    return weights, outcome.history, outcome.kept_epoch


@pytest.fixture(scope="module")
def unbroken():
    return result(*run(None))


@pytest.mark.parametrize("step", range(1, STEPS))
def test_t2_any_step_can_be_the_last_before_a_break(step, tmp_path, unbroken):
    _, outcome = run(tmp_path, steps=step)
    assert outcome.interrupted
    assert outcome.step == step
    assert result(*run(tmp_path)) == unbroken


EARLY_BEST = {"learning_rate": 0.1, "seed": 2}  # the second of four epochs is kept


def test_t2_the_best_epoch_may_lie_behind_the_break(tmp_path):
    *_, kept_epoch = whole = result(*run(None, **EARLY_BEST))
    assert kept_epoch == 2
    run(tmp_path, steps=15, **EARLY_BEST)
    assert result(*run(tmp_path, **EARLY_BEST)) == whole


@pytest.mark.parametrize(
    "changes", [{"optimizer": "adam", "weight_average": 0.0}, {"patience": 0}, {"clip_norm": 0.0}, {"batch_tokens": 32}]
)
def test_t2_other_recipes_go_on_as_well(changes, tmp_path):
    run(tmp_path, steps=9, **changes)
    assert result(*run(tmp_path, **changes)) == result(*run(None, **changes))


def test_t2_checkpoints_change_nothing(tmp_path, unbroken):
    assert result(*run(tmp_path)) == unbroken


def test_t11_no_row_is_seen_twice_or_missed(tmp_path, monkeypatch):
    seen: list[list[int]] = []
    real = loop.Examples.loss

    def noting(examples, network, batch, *rest):
        seen.append(batch.rows.tolist())
        return real(examples, network, batch, *rest)

    monkeypatch.setattr(loop.Examples, "loss", noting)
    run(None)
    whole = seen.copy()
    seen.clear()
    run(tmp_path, steps=9)  # in the middle of the second epoch
    run(tmp_path)
    assert seen == whole
    for epoch in range(4):
        assert sorted(chain(*seen[6 * epoch : 6 * epoch + 6])) == list(range(ROWS))


@pytest.mark.parametrize("breaks", [[1, 1, 1], [7, 2], [6, 6], [6, 1, 5], [23, 1]], ids=str)
def test_t12_several_breaks_and_epochs_that_end(breaks, tmp_path, unbroken):
    for steps in breaks:
        run(tmp_path, steps=steps)
    assert result(*run(tmp_path)) == unbroken


def test_t12_a_break_before_the_first_step_begins_at_the_beginning(tmp_path, unbroken):
    run(tmp_path, steps=1)
    for path in sorted(tmp_path.iterdir())[1:]:
        path.unlink()
    assert [path.name.split("-")[0] for path in tmp_path.iterdir()] == ["0" * 9]
    assert result(*run(tmp_path)) == unbroken


def test_t12_after_the_end_no_step_is_taken(tmp_path, unbroken, monkeypatch):
    run(tmp_path)
    monkeypatch.setattr(loop, "take_step", None)
    assert result(*run(tmp_path)) == unbroken


def test_t6_a_signal_while_scoring_is_kept_and_scored_later(tmp_path, unbroken, monkeypatch):
    """A stop is asked for before every batch of a validation too."""
    asked = iter([False] * 6 + [True])
    made = config.resolve("small", overrides=TINY)
    with seeded(0):
        kept = Checkpoints(tmp_path, {"config": config.to_dict(made)}, every=1e9)
        outcome = fit(
            Network(made, 20, 2), examples(), made, validation=examples(seed=1), device="cpu",
            stop=lambda: next(asked), checkpoints=kept,
        )  # fmt: skip
    assert outcome.interrupted
    assert outcome.history == []
    assert result(*run(tmp_path)) == unbroken


def newest(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors"), reverse=True)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x40  # in the midst of the tensors: the last bytes are of no effect
    path.write_bytes(content)


def test_t8_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path, unbroken):
    run(tmp_path, steps=9)
    flip(newest(tmp_path)[0])
    said = io.StringIO()
    made = config.resolve("small", overrides=TINY)
    kept = Checkpoints(tmp_path, {"config": config.to_dict(made)}, stream=said)
    with seeded(0):
        network = Network(made, 20, 2)
        outcome = fit(network, examples(), made, validation=examples(seed=1), device="cpu", checkpoints=kept)
    assert result(network, outcome) == unbroken
    assert re.fullmatch(
        rf"warning: the checkpoint {tmp_path}/0{{8}}9-\S+ is damaged and is passed over",
        said.getvalue().splitlines()[0],
    )


def test_t8_when_all_are_damaged_it_is_said(tmp_path):
    run(tmp_path, steps=9)
    for path in newest(tmp_path):
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ModelError) as caught:
        run(tmp_path)
    assert str(caught.value) == (f"{tmp_path}: all 3 checkpoints are damaged; hint: --force starts from the beginning")


def test_t9_three_are_kept_and_the_best_epoch_is_in_each(tmp_path, monkeypatch):
    """The best epoch is the first, whose own checkpoints are long gone when the run is broken in the third."""

    def falling(network, *_):
        count = float(len(seen))
        seen.append({name: tensor.numpy().tobytes() for name, tensor in network.state_dict().items()})
        return {"loss": 1.0, "accuracy": 0.5, "macro_f1": 0.9 - 0.1 * count}

    seen: list[dict[str, bytes]] = []
    monkeypatch.setattr(loop, "validate", falling)
    run(tmp_path, steps=15)
    assert [path.name[:15] for path in newest(tmp_path)] == ["000000015-00003", "000000014-00003", "000000013-00003"]
    weights, history, kept_epoch = result(*run(tmp_path))
    assert (kept_epoch, len(history)) == (1, 4)
    assert weights == seen[0]


def test_t9_nothing_is_removed_for_one_that_does_not_read_back(tmp_path, monkeypatch):
    run(tmp_path, steps=9)
    before = newest(tmp_path)
    real = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: real(path)[:-1] if "0010-" in path.name else real(path))
    with pytest.raises(OSError, match="it does not read back as it was written"):
        run(tmp_path)
    assert set(before) <= set(newest(tmp_path))


@pytest.mark.parametrize("what", ["loss", "gradient's norm"])
def test_t10_nothing_that_is_not_finite_is_learned_or_saved(what, tmp_path, monkeypatch):
    real, calls = loop.Examples.loss, []

    class Spoils(torch.autograd.Function):
        """Passes the loss on, and gives it a gradient that is no number."""

        @staticmethod
        def forward(ctx, loss):
            return loss.clone()

        @staticmethod
        def backward(ctx, gradient):
            return gradient * float("nan")

    def spoiled(*arguments):
        loss, right, mass = real(*arguments)
        calls.append(1)
        if len(calls) < 8:
            return loss, right, mass
        return (loss * float("inf") if what == "loss" else Spoils.apply(loss)), right, mass

    monkeypatch.setattr(loop.Examples, "loss", spoiled)
    with pytest.raises(DivergedError) as caught:
        run(tmp_path)
    assert re.fullmatch(
        rf"the {what} must stay finite, got (inf|nan) at step 8 \(learning rate 0\.0088, rows (\d+, ){{7}}\d+\); "
        r"hint: --set learning_rate=0\.003",
        str(caught.value),
    )
    monkeypatch.undo()
    assert newest(tmp_path)[0].name.startswith("000000007-")
    assert result(*run(tmp_path)) == result(*run(None))


@pytest.mark.parametrize("changes", [{"learning_rate": 0.02}, {"seed": 1}, {"d_model": 32}, {"epochs": 5}], ids=str)
def test_c6_another_config_is_refused_by_its_key(changes, tmp_path):
    run(tmp_path, steps=2)
    (key, value), *_ = changes.items()
    with pytest.raises(ModelError) as caught:
        run(tmp_path, **changes)
    before = config.to_dict(config.resolve("small", overrides=TINY))[key]
    assert str(caught.value) == (
        f"a run must go on with the {key} that it began with, got {value} for {before}; "
        "hint: --force starts from the beginning"
    )


def test_c6_another_shape_is_refused_where_the_job_does_not_say_it(tmp_path):
    run(tmp_path, steps=2, job={})
    with pytest.raises(ModelError, match="a checkpoint must fit its network, got another network"):
        run(tmp_path, job={}, d_model=32)
    with pytest.raises(ModelError, match="a checkpoint must hold network, random, got average, network, random"):
        run(tmp_path, job={}, weight_average=0.0)


def test_t13_other_threads_are_a_warning(tmp_path):
    run(tmp_path, steps=2, job={})
    said = io.StringIO()
    made = config.resolve("small", overrides=TINY)
    kept = Checkpoints(tmp_path, {}, stream=said)
    torch.set_num_threads(2)
    try:
        with seeded(0):
            fit(Network(made, 20, 2), examples(), made, validation=examples(seed=1), device="cpu", checkpoints=kept)
    finally:
        torch.set_num_threads(1)
    assert said.getvalue() == (
        "warning: threads was 1 and is 2: the result will not be that of an unbroken run to the last bit\n"
    )


def test_t15_steps_are_older_than_clocks(tmp_path, unbroken):
    run(tmp_path, steps=9)
    for age, path in enumerate(newest(tmp_path)):
        os.utime(path, (10_000 + age, 10_000 + age))
    _, outcome = run(tmp_path, steps=1)
    assert outcome.step == 10


def test_t16_strays_are_swept_and_thousands_of_checkpoints_are_no_burden(tmp_path, unbroken):
    run(tmp_path, steps=9)
    for number in range(10_000):
        (tmp_path / f"{0:09d}-00001-{number:064d}.safetensors").touch()
    (tmp_path / ".000000009-00002-abc.safetensors.1a2b3c4d.tmp").write_bytes(b"half")
    (tmp_path / "notes.txt").write_text("mine")
    assert result(*run(tmp_path)) == unbroken
    assert sorted(path.name[:9] for path in tmp_path.iterdir()) == ["000000023", "000000024", "000000024", "notes.txt"]


def test_a_checkpoint_is_json_and_tensors_and_says_where_it_stands(tmp_path):
    run(tmp_path, steps=8)
    content = newest(tmp_path)[0].read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    told = {key: json.loads(value) for key, value in header.pop("__metadata__").items()}
    assert (told["at"]["epoch"], told["at"]["batch"], told["at"]["step"]) == (2, 2, 8)
    assert told["job"]["config"]["d_model"] == 16
    assert {name.split(".")[0] for name in header} == {"network", "average", "best", "optimizer", "random"}


def test_finish_takes_no_further_step(tmp_path):
    _, broken = run(tmp_path, steps=9)
    made = config.resolve("small", overrides=TINY)
    kept = Checkpoints(tmp_path, {"config": config.to_dict(made)})
    with seeded(0):
        network = Network(made, 20, 2)
        outcome = fit(network, examples(), made, validation=examples(seed=1), checkpoints=kept, finish=True)
    assert (outcome.step, outcome.kept_epoch, outcome.history) == (9, 1, broken.history)


def test_finish_needs_an_epoch(tmp_path):
    run(tmp_path, steps=2)
    made = config.resolve("small", overrides=TINY)
    kept = Checkpoints(tmp_path, {"config": config.to_dict(made)})
    with pytest.raises(UsageError) as caught:
        fit(Network(made, 20, 2), examples(), made, checkpoints=kept, finish=True)
    assert str(caught.value) == (
        "--finish needs an epoch that was finished, got a run at step 2 of its first; hint: --resume without --finish"
    )
