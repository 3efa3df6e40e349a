"""The training loop as a straight line: batch, forward, loss, backward, clip, step; score; keep the best."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ..config import Config
from ..data import batches
from ..data.tokenizer import CLS, MASK
from ..errors import DivergedError, UsageError
from ..report import Stream, duration
from ..scoring.metrics import accuracy, confusion, macro_f1
from .estimate import seconds_a_step
from .optimizer import make_optimizer
from .progress import Progress
from .schedule import learning_rate_factor
from .seed import order_stream


@dataclass(frozen=True)
class Examples:
    """Token ids of each text, label numbers `(N,)`, and what each row counts in the loss `(N,)`."""

    ids: list[NDArray[np.int64]]
    labels: NDArray[np.int64]
    weights: NDArray[np.float32]


@dataclass
class Outcome:
    """What training left behind beside the weights: a record an epoch, the epoch whose weights were kept, and
    whether it was stopped from outside."""

    history: list[dict[str, Any]] = field(default_factory=list)
    kept_epoch: int = 0
    interrupted: bool = False


def fit(
    network: nn.Module,
    train: Examples,
    config: Config,
    *,
    validation: Examples | None = None,
    device: str = "auto",
    stream: Stream | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Trains `network` in place; with `patience` it ends early and keeps the epoch of best validation macro-F1.

    `stop()` is asked after every step: True ends the run at once, with the weights as they are.

    *Raises*: DivergedError if the loss is no longer finite; UsageError for a device that is not there.
    """
    accelerator = _accelerator(device, config.precision)
    steps_per_epoch = -(-len(train.ids) // config.batch_size)
    network.to(accelerator.device)
    if stream is not None:
        seconds = _estimate(network, train, config, accelerator) * steps_per_epoch * config.epochs
        stream.write(f"training takes at most about {duration(seconds)} ({config.epochs} epochs)\n")
    optimizer = make_optimizer(network, config)
    factor = learning_rate_factor(config, steps_per_epoch)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    progress = Progress(stream, config.epochs, steps_per_epoch)
    outcome, best, step = Outcome(), _Best(config.patience), 0

    for epoch in range(1, config.epochs + 1):
        network.train()
        total = correct = seen = loss_sum = 0.0
        order = order_stream(config.seed, epoch)
        for number, batch in enumerate(batches.epoch(train.ids, config.batch_size, order, config.sort_by_length), 1):
            loss, logits, labels = _step(network, batch, train, config, accelerator, optimizer)
            step += 1
            if not np.isfinite(loss):
                raise DivergedError(
                    f"the loss must stay finite, got {loss} at step {step} (epoch {epoch}, "
                    f"learning rate {schedule.get_last_lr()[0]:.2g})",
                    hint=f"--set learning_rate={config.learning_rate / 3:.1g}",
                )
            schedule.step()
            rows = len(batch.rows)
            loss_sum, seen, total = loss_sum + loss * rows, seen + rows, total + rows
            correct += float((logits.argmax(1) == labels).sum())
            progress.step(epoch, number, rows, loss_sum / seen, correct / total)
            if stop():
                outcome.interrupted = True
                return outcome
        scores = None if validation is None else _validate(network, validation, config, accelerator)
        record = {"epoch": epoch, "step": step, "learning_rate": config.learning_rate * factor(step - 1),
                  "loss": loss_sum / seen, "accuracy": correct / total}  # fmt: skip
        if scores is not None:
            record |= {f"validation_{name}": value for name, value in scores.items()}
        outcome.history.append(record)
        progress.epoch(epoch, loss_sum / seen, correct / total, scores)
        outcome.kept_epoch = epoch
        if scores is not None and config.patience:
            best.offer(epoch, (scores["macro_f1"], -scores["loss"]), network)
            if best.is_stale(epoch):
                break
    if best.weights is not None:
        network.load_state_dict(best.weights)
        outcome.kept_epoch = best.epoch
    network.to("cpu")
    return outcome


class _Best:
    """The weights of the best epoch so far. Ties of macro-F1 go to the lower loss."""

    def __init__(self, patience: int):
        self.patience, self.epoch = patience, 0
        self.score: tuple[float, float] | None = None
        self.weights: dict[str, Tensor] | None = None

    def offer(self, epoch: int, score: tuple[float, float], network: nn.Module) -> None:
        if self.score is None or score > self.score:
            self.score, self.epoch = score, epoch
            self.weights = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}

    def is_stale(self, epoch: int) -> bool:
        return epoch - self.epoch >= self.patience


def _step(
    network: nn.Module, batch: batches.Batch, data: Examples, config: Config, accelerator: Any,
    optimizer: torch.optim.Optimizer,
) -> tuple[float, Tensor, Tensor]:  # fmt: skip
    """One optimizer step; without a finite loss the weights stay as they were."""
    device = accelerator.device
    ids, mask = torch.from_numpy(batch.ids).to(device), torch.from_numpy(batch.mask).to(device)
    labels = torch.from_numpy(data.labels[batch.rows]).to(device)
    weights = torch.from_numpy(data.weights[batch.rows]).to(device)
    if config.token_dropout:
        ids = hide_tokens(ids, mask, config.token_dropout)
    with accelerator.autocast():
        logits = network(ids, mask).float()
    losses = cross_entropy(logits, labels, reduction="none", label_smoothing=config.label_smoothing)
    loss = (losses * weights).sum() / weights.sum()
    if torch.isfinite(loss):
        optimizer.zero_grad()
        accelerator.backward(loss)
        if config.clip_norm:
            accelerator.clip_grad_norm_(network.parameters(), config.clip_norm)
        optimizer.step()
    return loss.item(), logits.detach(), labels


def hide_tokens(ids: Tensor, mask: Tensor, share: float) -> Tensor:
    """A random share of the real tokens as [MASK], [CLS] never among them."""
    hidden = (torch.rand(ids.shape, device=ids.device) < share) & mask & (ids != CLS)
    return ids.masked_fill(hidden, MASK)


def _validate(network: nn.Module, data: Examples, config: Config, accelerator: Any) -> dict[str, float]:
    network.eval()
    # Sorted by length: padding is cheap, and the order of the rows does not matter to the scores.
    order = np.argsort([len(row) for row in data.ids], kind="stable")
    logits = np.empty((len(order), 0), dtype=np.float32)
    parts = []
    with torch.inference_mode(), accelerator.autocast():
        for start in range(0, len(order), 256):
            ids, mask = batches.pad([data.ids[row] for row in order[start : start + 256]])
            ids, mask = torch.from_numpy(ids).to(accelerator.device), torch.from_numpy(mask).to(accelerator.device)
            parts.append(network(ids, mask).float().cpu())
    logits, labels = torch.cat(parts), torch.from_numpy(data.labels[order])
    cells = confusion(labels.numpy(), logits.argmax(1).numpy(), logits.shape[1])
    return {
        "loss": float(cross_entropy(logits, labels)),
        "accuracy": float(accuracy(cells)),
        "macro_f1": float(macro_f1(cells)),
    }


def _estimate(network: nn.Module, train: Examples, config: Config, accelerator: Any) -> float:
    order = np.random.default_rng(0)
    batch = next(batches.epoch(train.ids, config.batch_size, order, sort_by_length=False))

    def step(trial: nn.Module) -> None:
        _step(trial, batch, train, config, accelerator, make_optimizer(trial, config))

    with torch.random.fork_rng():
        network.train()
        return seconds_a_step(network, step)


def _accelerator(device: str, precision: str) -> Any:
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
