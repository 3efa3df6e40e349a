"""Laws of training: it learns, repeats itself byte for byte, keeps the best epoch, and stops when it must."""

import io
import math

import numpy as np
import pytest
import torch

from scriptchain import config
from scriptchain.data.tokenizer import CLS, MASK
from scriptchain.errors import DivergedError, UsageError
from scriptchain.model.pipeline import Network
from scriptchain.training import loop
from scriptchain.training.average import Average
from scriptchain.training.loop import Examples, fit, hide_tokens
from scriptchain.training.seed import order_stream, seeded

TINY = {"d_model": 16, "num_heads": 2, "num_layers": 1, "d_feedforward": 32, "max_seq_len": 8, "batch_size": 8,
        "epochs": 8, "learning_rate": 0.01, "dropout": 0.1, "token_dropout": 0.0, "weight_average": 0.0,
        "patience": 0}  # fmt: skip


def examples(rows: int = 48, seed: int = 0) -> Examples:
    """The class is the first token, 4 or 5; noise follows."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(2, size=rows)
    ids = [np.concatenate([[4 + label], rng.integers(6, 20, size=rng.integers(1, 7))]) for label in labels]
    return Examples(ids, labels, np.ones(rows, np.float32))


def trained(train: Examples | None = None, validation: Examples | None = None, **changes):
    made = config.resolve("small", overrides=TINY | changes)
    with seeded(made.seed):
        network = Network(made, 20, 2)
        outcome = fit(network, train or examples(), made, validation=validation, device="cpu")
    return network, outcome


def weights(network) -> dict[str, bytes]:
    return {name: tensor.numpy().tobytes() for name, tensor in network.state_dict().items()}


def test_it_learns_what_can_be_learned():
    _, outcome = trained(validation=examples(seed=1))
    assert outcome.history[-1]["validation_macro_f1"] > 0.95
    assert outcome.history[-1]["loss"] < outcome.history[0]["loss"]


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not():
    one, two, other = trained()[0], trained()[0], trained(seed=1)[0]
    assert weights(one) == weights(two)
    assert weights(one) != weights(other)


def test_training_leaves_the_callers_random_state_as_it_was():
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    trained(epochs=1)
    assert torch.equal(torch.rand(3), expected)


def test_telling_progress_changes_nothing():
    quiet = trained()[0]
    made = config.resolve("small", overrides=TINY)
    stream = io.StringIO()
    with seeded(made.seed):
        network = Network(made, 20, 2)
        fit(network, examples(), made, device="cpu", stream=stream)
    assert weights(network) == weights(quiet)
    lines = stream.getvalue().splitlines()
    assert lines[0].startswith("training takes at most about ")
    assert [line.split()[1] for line in lines[1:]] == [f"{epoch}/8" for epoch in range(1, 9)]


def test_the_kept_weights_are_those_of_the_best_epoch(monkeypatch):
    scores = iter([0.2, 0.9, 0.5, 0.4, 0.3, 0.1])
    seen: list[dict[str, bytes]] = []

    def scripted(network, *_):
        seen.append(weights(network))
        return {"loss": 1.0, "accuracy": 0.5, "macro_f1": next(scores)}

    monkeypatch.setattr(loop, "validate", scripted)
    network, outcome = trained(validation=examples(seed=1), patience=3)
    assert outcome.kept_epoch == 2
    assert len(outcome.history) == 5
    assert weights(network) == seen[1]


def test_without_patience_the_last_epoch_is_kept(monkeypatch):
    monkeypatch.setattr(loop, "validate", lambda *_: {"loss": 1.0, "accuracy": 0.5, "macro_f1": 0.5})
    _, outcome = trained(validation=examples(seed=1), epochs=3)
    assert outcome.kept_epoch == len(outcome.history) == 3


def test_the_average_is_the_recursion_and_is_what_is_kept(monkeypatch):
    network = torch.nn.Linear(2, 1)
    average = Average(network, 0.9)
    mean = network.weight.detach().clone()
    for step in range(1, 30):
        network.weight.data.add_(1.0)
        average.update(network, step)
        decay = min(0.9, (1 + step) / (10 + step))
        mean = decay * mean + (1 - decay) * network.weight.detach()
    torch.testing.assert_close(average.network.weight.detach(), mean)
    scored = []
    monkeypatch.setattr(
        loop,
        "validate",
        lambda net, *_: scored.append(weights(net)) or {"loss": 1.0, "accuracy": 0.5, "macro_f1": 0.5},
    )
    kept, _ = trained(validation=examples(seed=1), weight_average=0.9, epochs=2)
    assert weights(kept) == scored[-1]


def test_no_average_is_the_network_itself():
    network = torch.nn.Linear(2, 1)
    assert Average(network, 0.0).network is network


def test_a_loss_that_is_not_finite_stops_it_before_the_weights_change():
    poisoned = examples()
    poisoned.weights[:] = math.inf
    with pytest.raises(DivergedError) as caught:
        trained(poisoned)
    assert str(caught.value) == (
        "the loss must stay finite, got nan at step 1 (learning rate 0.002, rows 10, 15, 17, 20, 23, 30, 38, 45); "
        "hint: --set learning_rate=0.0007"
    )


def test_a_row_of_weight_zero_teaches_nothing():
    clean, spoiled = examples(), examples()
    spoiled.labels[::2] = 1 - spoiled.labels[::2]
    clean.weights[::2] = spoiled.weights[::2] = 0
    assert weights(trained(clean, epochs=2)[0]) == weights(trained(spoiled, epochs=2)[0])


def test_a_batch_without_any_weight_is_no_divergence():
    train = examples(16)
    train.weights[:] = 0
    train.weights[0] = 1  # batches of 8: one of the two has nothing that counts
    network, outcome = trained(train, epochs=2)
    assert len(outcome.history) == 2
    assert all(parameter.isfinite().all() for parameter in network.parameters())


def test_stop_ends_it_after_the_step_that_asked():
    asked = iter([False, False, True])
    made = config.resolve("small", overrides=TINY)
    with seeded(0):
        outcome = fit(Network(made, 20, 2), examples(), made, device="cpu", stop=lambda: next(asked))
    assert outcome.interrupted
    assert outcome.history == []


@pytest.mark.parametrize(
    "key",
    [
        "batch_tokens",
        "clip_norm",
        "label_smoothing",
        "token_dropout",
        "weight_average",
        "weight_decay",
        "sort_by_length",
    ],
)
def test_every_setting_of_the_recipe_reaches_the_weights(key):
    values = {
        "batch_tokens": 24,
        "clip_norm": 0.01,
        "label_smoothing": 0.2,
        "token_dropout": 0.5,
        "weight_average": 0.9,
        "weight_decay": 1.0,
    }
    other = values.get(key, False)
    assert weights(trained(epochs=2)[0]) != weights(trained(epochs=2, **{key: other})[0])


@pytest.mark.parametrize("sort", [False, True])
def test_a_batch_of_tokens_ends_where_they_are_full(sort):
    tokens = sum(map(len, examples().ids))
    _, outcome = trained(batch_tokens=32, sort_by_length=sort, validation=examples(seed=1))
    assert outcome.step == 8 * -(-tokens // 32)
    assert outcome.history[-1]["validation_macro_f1"] > 0.9


def test_bf16_trains_too():
    _, outcome = trained(validation=examples(seed=1), precision="bf16")
    assert outcome.history[-1]["validation_macro_f1"] > 0.9


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("tpu", "device must be one of auto, cpu, cuda, mps, got 'tpu'"),
        ("mps", "device must be there, got 'mps' on a machine without it; hint: --device cpu"),
    ],
)
def test_a_device_that_is_not_there_is_refused(device, message):
    made = config.resolve("small", overrides=TINY)
    with pytest.raises(UsageError) as caught:
        fit(Network(made, 20, 2), examples(), made, device=device)
    assert str(caught.value) == message


def test_hidden_tokens_are_a_share_of_the_real_ones_and_never_cls():
    ids = torch.randint(6, 20, (200, 12))
    ids[:, 0] = CLS
    mask = torch.ones_like(ids, dtype=torch.bool)
    mask[:, 8:] = False
    with seeded(0):
        hidden = hide_tokens(ids, mask, 0.25) != ids
    assert not hidden[:, 0].any()
    assert not hidden[:, 8:].any()
    assert hidden[:, 1:8].float().mean().item() == pytest.approx(0.25, abs=0.03)
    assert (hide_tokens(ids, mask, 0.999)[:, 1:8] == MASK).float().mean() > 0.98


def test_row_order_is_a_stream_of_its_own():
    first, again, other = (order_stream(3, epoch).permutation(50).tolist() for epoch in (1, 1, 2))
    assert first == again != other
