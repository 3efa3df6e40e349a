"""The training loop as a straight line: batch, forward, loss, backward, clip, step; score; keep the best."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ..config import Config
from ..data import batches
from ..data.ragged import lengths
from ..data.tokenizer import CLS, MASK
from ..errors import DivergedError, ResourceError, UsageError
from ..heap import Heap, give_back
from ..model.pipeline import unpadded
from ..report import Stream, duration
from ..scoring.metrics import accuracy, confusion, macro_f1
from .average import Average
from .best import Best
from .checkpoint import Checkpoints
from .estimate import seconds_a_step
from .optimizer import make_optimizer
from .progress import Progress
from .schedule import learning_rate_factor
from .seed import order_stream
from .state import Numbers, State
from .world import ALONE, World, joined


@dataclass(frozen=True)
class Examples:
    """Token ids of each text, label numbers `(N,)`, what each row counts in the loss `(N,)`, the line of each, and
    where the label is not all that a row teaches, probabilities of the classes `(N, C)`."""

    ids: Sequence[NDArray[np.int64]]
    labels: NDArray[np.int64]
    weights: NDArray[np.float32]
    lines: Sequence[int] = ()
    targets: NDArray[np.float32] | None = None

    def loss(
        self, network: nn.Module, batch: batches.Batch, config: Config, accelerator: Any
    ) -> tuple[Tensor, float, float]:
        """The weighted mean loss of a batch, how many of its rows were right, and the sum of their weights."""
        ids, mask = (torch.from_numpy(one).to(accelerator.device) for one in (batch.ids, batch.mask))
        labels = torch.from_numpy(self.labels[batch.rows]).to(accelerator.device)
        weights = torch.from_numpy(self.weights[batch.rows]).to(accelerator.device)
        if config.token_dropout:
            ids = hide_tokens(ids, mask, config.token_dropout)
        with accelerator.autocast(), unpadded():
            logits = network(ids, mask).float()
        target = labels
        if self.targets is not None:
            target = torch.from_numpy(self.targets[batch.rows]).to(accelerator.device)
        losses = cross_entropy(logits, target, reduction="none", label_smoothing=config.label_smoothing)
        # A batch may hold rows of weight 0 alone.
        loss = (losses * weights).sum() / weights.sum().clamp(min=1e-12)
        return loss, float((logits.argmax(1) == labels).sum()), float(weights.sum())


@runtime_checkable
class Objective(Protocol):
    """What a network can be fitted to: texts as token ids, the line of each, and the mean loss of a batch of them, how
    many were right, and what the mean is over."""

    @property
    def ids(self) -> Sequence[NDArray[np.int64]]: ...

    @property
    def lines(self) -> Sequence[int]: ...

    def loss(
        self, network: nn.Module, batch: batches.Batch, config: Config, accelerator: Any
    ) -> tuple[Tensor, float, float]: ...


@dataclass
class Outcome:
    """What training left behind beside the weights: a record an epoch, the epoch whose weights were kept, the steps
    that were taken, the seconds that they took, whether it was stopped from outside, and what the logits were divided
    by afterwards (`training.temperature`)."""

    history: list[dict[str, Any]] = field(default_factory=list)
    kept_epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    interrupted: bool = False
    temperature: float = 1.0


def fit(
    network: nn.Module,
    train: Objective,
    config: Config,
    *,
    validation: Examples | None = None,
    device: str = "auto",
    stream: Stream | None = None,
    stop: Callable[[], bool] = lambda: False,
    checkpoints: Checkpoints | None = None,
    finish: bool = False,
) -> Outcome:
    """Trains `network` in place; with `patience` it ends early and keeps the epoch of best validation macro-F1.

    `stop()` is asked after every step: True ends the run at once, with the weights as they are. With `checkpoints` the
    run goes on from the newest of them, is saved from time to time, when it is stopped and when it ends; with `finish`
    it takes no further step. Where `torchrun` or `accelerate launch` has started several processes, each takes its rows
    of batches of `batch_size`, or `batch_tokens`, times their number.

    *Raises*: DivergedError if the loss or a gradient is no longer finite; ResourceError where memory or disk end;
    ModelError for checkpoints of another run; UsageError for a device that is not there.
    """
    world = joined()
    accelerator = accelerator_for(device, config.precision)
    limit = batch_limit(config, world.size)
    steps_per_epoch = limit.batches(lengths(train.ids))
    network.to(accelerator.device)
    rate = learning_rate_factor(config, steps_per_epoch)
    heap = Heap()
    average, best = Average(network, config.weight_average), Best(config.patience)
    state = State(network, make_optimizer(network, config), average, best)
    at = _resumed(state, checkpoints, finish, stream)
    world.wait()  # for those that still read what the first would write over
    if stream is not None and not at.finished:
        left = steps_per_epoch * config.epochs - at.step
        seconds = _a_step(network, train, config, accelerator) * left
        stream.write(f"training takes at most about {duration(seconds)} ({config.epochs} epochs)\n")
    progress = Progress(stream, config.epochs, steps_per_epoch, at.step)
    begun = time.perf_counter() - at.seconds

    while not at.finished:
        network.train()
        order = order_stream(config.seed, at.epoch)
        for batch in batches.epoch(train.ids, limit, order, config.sort_by_length, start=at.batch):
            world.seed(config.seed, at.step)
            learning_rate = config.learning_rate * rate(at.step)
            set_rate(state.optimizer, learning_rate)
            loss, right, stopped = take_step(
                network, batch, train, config, accelerator, state.optimizer, at.step + 1, stop, world
            )
            at.step, at.batch, at.rows = at.step + 1, at.batch + 1, at.rows + len(batch.rows)
            at.loss_sum, at.correct = at.loss_sum + loss * len(batch.rows), at.correct + right
            average.update(network, at.step)
            heap.tend()
            at.seconds = time.perf_counter() - begun
            progress.step(at.epoch, at.step, len(batch.rows), at.loss_sum / at.rows, at.correct / at.rows)
            if stopped:
                return _stopped(state, checkpoints)
            if checkpoints is not None and checkpoints.due():
                checkpoints.save(state)
        scores = None
        if validation is not None:
            try:
                with accelerator.autocast():
                    scores = validate(average.network, validation, stop, world)
            except _Stopped:  # what goes on from here begins with these scores
                return _stopped(state, checkpoints)
        loss, correct = at.loss_sum / at.rows, at.correct / at.rows
        record = {"epoch": at.epoch, "step": at.step, "learning_rate": config.learning_rate * rate(at.step - 1),
                  "loss": loss, "accuracy": correct}  # fmt: skip
        at.history.append(record | {f"validation_{name}": value for name, value in (scores or {}).items()})
        progress.epoch(at.epoch, loss, correct, scores)
        at.finished = best.offer(at.epoch, scores, average.network) or at.epoch == config.epochs
        at.seconds = time.perf_counter() - begun
        at.epoch, at.batch, at.rows, at.loss_sum, at.correct = at.epoch + 1, 0, 0, 0.0, 0.0
        if checkpoints is not None and (at.finished or checkpoints.due()):
            checkpoints.save(state)
    network.load_state_dict(best.weights or average.network.state_dict())
    network.to("cpu")
    give_back()
    return Outcome(at.history, best.epoch, at.step, at.seconds)


def _resumed(state: State, checkpoints: Checkpoints | None, finish: bool, stream: Stream | None) -> Numbers:
    """Where the run stands: at its beginning, or where its newest checkpoint was written."""
    if checkpoints is None:
        return state.at
    restored = checkpoints.restore(state)
    if restored and stream is not None:
        stream.write(f"goes on behind step {state.at.step:,} (epoch {state.at.epoch})\n")
    if finish and not state.at.history:
        raise UsageError(
            f"--finish needs an epoch that was finished, got a run at step {state.at.step:,} of its first",
            hint="--resume without --finish",
        )
    if not restored:
        checkpoints.save(state)  # a disk without room for one is better found out now
    state.at.finished |= finish
    return state.at


def _stopped(state: State, checkpoints: Checkpoints | None) -> Outcome:
    if checkpoints is not None:
        checkpoints.save(state)
    state.network.load_state_dict(state.average.network.state_dict())
    state.network.to("cpu")
    return Outcome(state.at.history, state.best.epoch, state.at.step, state.at.seconds, interrupted=True)


def take_step(
    network: nn.Module, batch: batches.Batch, data: Objective, config: Config, accelerator: Any,
    optimizer: torch.optim.Optimizer, step: int, stop: Callable[[], bool] = lambda: False, world: World = ALONE,
) -> tuple[float, float, bool]:  # fmt: skip
    """One optimizer step of all processes: its loss, how many rows were right, and whether anybody said to stop. The
    weights stay as they are where it raises."""
    try:
        loss, right, mass = 0.0, 0.0, 0.0
        optimizer.zero_grad()
        mine = world.mine(batch)
        if mine is not None:
            mean, right, mass = data.loss(network, mine, config, accelerator)
            loss = mean.item()
            accelerator.backward(mean)
        loss, right, stopped = world.share(network.parameters(), mass, loss, [right, float(stop())])
        _check_finite("loss", loss, step, batch, data, optimizer)
        # Without a limit the norm is only measured.
        norm = accelerator.clip_grad_norm_(network.parameters(), config.clip_norm or math.inf)
        _check_finite("gradient's norm", float(norm), step, batch, data, optimizer)
        optimizer.step()
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, MemoryError) or "allocate" in str(error) or isinstance(error, torch.OutOfMemoryError):
            key, least = ("batch_tokens", config.max_seq_len) if config.batch_tokens else ("batch_size", 1)
            most = getattr(config, key)
            raise ResourceError(
                f"a step must fit into memory, got too little for {key} {most} (step {step})",
                hint=f"--set {key}={max(least, most // 2)}",
            ) from None
        raise
    return loss, right, stopped > 0


def _check_finite(
    name: str, value: float, step: int, batch: batches.Batch, data: Objective, optimizer: torch.optim.Optimizer
) -> None:
    if not math.isfinite(value):
        rate = float(max(group["lr"] for group in optimizer.param_groups))
        lines = sorted(int(data.lines[row]) if len(data.lines) else int(row) for row in batch.rows)
        more = f" and {len(lines) - 8} more" if len(lines) > 8 else ""
        kind = "lines" if len(data.lines) else "rows"
        raise DivergedError(
            f"the {name} must stay finite, got {value} at step {step} (learning rate {rate:.2g}, {kind} "
            f"{', '.join(map(str, lines[:8]))}{more})",
            hint=f"--set learning_rate={rate / 3:.1g}",
        )


def batch_limit(config: Config, processes: int = 1) -> batches.Limit:
    return batches.Limit(config.batch_size * processes, config.batch_tokens * processes)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate * group["share"]


def hide_tokens(ids: Tensor, mask: Tensor, share: float) -> Tensor:
    """A random share of the real tokens as [MASK], [CLS] never among them."""
    hidden = (torch.rand(ids.shape, device=ids.device) < share) & mask & (ids != CLS)
    return ids.masked_fill(hidden, MASK)


class _Stopped(Exception):  # noqa: N818 - nothing is wrong
    """Somebody asked to stop in the middle of scoring."""


def validate(
    network: nn.Module, data: Examples, stop: Callable[[], bool] = lambda: False, world: World = ALONE
) -> dict[str, float]:
    """Cross-entropy, accuracy and macro-F1 of a network, in evaluation mode, on the device that it is on."""
    network.eval()
    device = next(network.parameters()).device
    # Sorted by length: padding is cheap, and the order of the rows does not matter to the scores.
    together = world if len(data.ids) >= world.size else ALONE
    order = np.argsort(lengths(data.ids), kind="stable")[together.rank :: together.size]
    parts, heap = [], Heap()
    with torch.inference_mode(), unpadded():
        for start in range(0, len(order), 256):
            if world.size == 1 and stop():  # of several, the others would wait for this one
                raise _Stopped
            ids, mask = batches.pad(data.ids, order[start : start + 256])
            ids, mask = torch.from_numpy(ids).to(device), torch.from_numpy(mask).to(device)
            parts.append(network(ids, mask).float().cpu())
            heap.tend()
    logits, labels = torch.cat(parts), torch.from_numpy(data.labels[order])
    cells = confusion(labels.numpy(), logits.argmax(1).numpy(), logits.shape[1])
    loss = float(cross_entropy(logits, labels))
    if together.size > 1:
        own = torch.tensor([loss * len(order), *cells.ravel().tolist()], dtype=torch.float64)
        loss, *counts = together.sum(own).tolist()
        loss, cells = loss / len(data.ids), np.array(counts).astype(cells.dtype).reshape(cells.shape)
    return {
        "loss": loss,
        "accuracy": float(accuracy(cells)),
        "macro_f1": float(macro_f1(cells)),
    }


def seconds_at_most(network: nn.Module, train: Objective, config: Config, device: str) -> float:
    """Of a whole training, foreseen from a few steps on a copy."""
    accelerator = accelerator_for(device, config.precision)
    network.to(accelerator.device)
    steps = config.epochs * batch_limit(config).batches(lengths(train.ids))
    return _a_step(network, train, config, accelerator) * steps


def _a_step(network: nn.Module, train: Objective, config: Config, accelerator: Any) -> float:
    order = np.random.default_rng(0)
    batch = next(batches.epoch(train.ids, batch_limit(config), order, sort_by_length=False))

    def step(trial: nn.Module) -> None:
        take_step(trial, batch, train, config, accelerator, make_optimizer(trial, config), 1)

    with torch.random.fork_rng():
        network.train()
        return seconds_a_step(network, step)


def accelerator_for(device: str, precision: str) -> Any:
    """Device and precision as accelerate takes them. Raises UsageError for a device that is not there."""
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    if device not in ("auto", "cpu", "cuda", "mps"):
        raise UsageError(f"device must be one of auto, cpu, cuda, mps, got {device!r}")
    if (device == "cuda" and not torch.cuda.is_available()) or (
        device == "mps" and not torch.backends.mps.is_available()
    ):
        raise UsageError(f"device must be there, got {device!r} on a machine without it", hint="--device cpu")
    # accelerate keeps its state for the whole process; a second fit may ask for another device or precision.
    AcceleratorState._reset_state(reset_partial_state=True)
    return Accelerator(cpu=device == "cpu", mixed_precision="bf16" if precision == "bf16" else "no")
