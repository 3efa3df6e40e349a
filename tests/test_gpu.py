"""What must hold on a GPU too: every encoding says and learns the same there, and training repeats itself and goes on.

Run by `make gpu` on a machine with CUDA; there is none in continuous integration.
"""

import numpy as np
import pytest
import torch

from scriptchain import Classifier, config
from scriptchain.conformance.inputs import difference, padding, scatter
from scriptchain.model.pipeline import Network
from scriptchain.training.checkpoint import Checkpoints
from scriptchain.training.loop import Examples, fit
from scriptchain.training.seed import seeded

from .positions.rows import SMALL, network, rows

pytestmark = pytest.mark.gpu
DEVICE = "cuda"
SAID = 1e-4  # float32 logits of order 1: the same sums in another order


@pytest.fixture(autouse=True)
def exact_products():
    """Products of float32 in float32, as on a CPU."""
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    yield
    torch.backends.cuda.matmul.allow_tf32 = before


@rows()
@pytest.mark.parametrize("long", [False, True], ids=["short", "long"])
def test_a_network_says_and_learns_the_same_as_on_a_cpu(row, long):
    length = 600 if long and not row.limited else SMALL["max_seq_len"]
    lengths = (length, length // 2, 1)
    masks = padding(lengths, length, "right")
    made = network(row)
    ids = scatter([torch.randint(4, 32, (n,), generator=torch.Generator().manual_seed(n)) for n in lengths], masks)
    found = []
    for device in ("cpu", DEVICE):
        made = made.to(device)
        made.zero_grad()
        logits = made(ids.to(device), masks.to(device))
        logits.square().sum().backward()
        found.append((logits.detach().cpu(), {name: None if one.grad is None else one.grad.detach().cpu().clone()
                                              for name, one in made.named_parameters()}))  # fmt: skip
    (cpu, learned), (gpu, learned_there) = found
    assert difference(cpu, gpu) < SAID
    for name, one in learned.items():
        other = learned_there[name]
        assert (one is None) == (other is None), name
        if one is not None:
            assert (one - other).abs().max() <= 1e-3 * max(1.0, float(one.abs().max())), name


def examples(rows: int = 256, seed: int = 0) -> Examples:
    """The class is the first token, 4 or 5; noise follows."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(2, size=rows)
    ids = [np.concatenate([[4 + label], rng.integers(6, 20, size=rng.integers(1, 7))]) for label in labels]
    return Examples(ids, labels, np.ones(rows, np.float32))


def trained(folder=None, stop_behind: int | None = None, **changes):
    made = config.resolve("small", overrides={
        "d_model": 32, "num_heads": 2, "num_layers": 2, "d_feedforward": 64, "max_seq_len": 8, "batch_size": 16,
        "epochs": 6, "learning_rate": 0.003, "dropout": 0.1, "patience": 0} | changes)  # fmt: skip
    steps = iter(range(10**9))
    with seeded(made.seed):
        network = Network(made, 20, 2)
        outcome = fit(
            network, examples(), made, validation=examples(seed=1), device=DEVICE,
            stop=lambda: stop_behind is not None and next(steps) >= stop_behind,
            checkpoints=None if folder is None else Checkpoints(folder, {}, every=1e9),
        )  # fmt: skip
    return {name: tensor.numpy().tobytes() for name, tensor in network.state_dict().items()}, outcome


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_it_learns(precision):
    _, outcome = trained(precision=precision)
    assert outcome.history[-1]["validation_macro_f1"] > 0.95


ATOMIC = pytest.mark.xfail(strict=True, reason="the gradient of gather is summed by atomic additions")


@pytest.mark.parametrize(
    "encoding", ["learned", "alibi", "t5_bias", "rope", "shaw", pytest.param("cope", marks=ATOMIC)]
)
def test_the_same_seed_gives_the_same_bytes(encoding):
    changes = {"positions": encoding}
    assert trained(**changes)[0] == trained(**changes)[0]


def test_a_stopped_run_goes_on_as_if_it_had_not_been(tmp_path):
    whole, _ = trained(tmp_path / "whole")
    _, stopped = trained(tmp_path / "broken", stop_behind=37)
    assert stopped.interrupted
    assert trained(tmp_path / "broken")[0] == whole


def test_what_is_trained_there_answers_the_same_here(tmp_path):
    made = [f"{number} {'good' if number % 3 else 'bad'} food" for number in range(240)]
    labels = ["yes" if number % 3 else "no" for number in range(240)]
    model = Classifier("small", epochs=2, d_model=32, num_heads=2, num_layers=1, device="auto")
    model.fit(made, labels)
    model.save_pretrained(tmp_path / "run")
    again = Classifier.from_pretrained(tmp_path / "run")
    assert np.abs(again.logits(made) - model.logits(made)).max() < SAID
