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
from .average import Average
from .best import Best
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
    average, best = Average(network, config.weight_average), Best(config.patience)
    outcome, step = Outcome(), 0

    for epoch in range(1, config.epochs + 1):
        network.train()
        rows = loss_sum = correct = 0.0
        order = order_stream(config.seed, epoch)
        for batch in batches.epoch(train.ids, config.batch_size, order, config.sort_by_length):
            loss, right = _step(network, batch, train, config, accelerator, optimizer)
            step += 1
            if not np.isfinite(loss):
                raise _diverged(loss, step, epoch, float(schedule.get_last_lr()[0]))
            schedule.step()
            average.update(network, step)
            rows, loss_sum, correct = rows + len(batch.rows), loss_sum + loss * len(batch.rows), correct + right
            progress.step(epoch, step, len(batch.rows), loss_sum / rows, correct / rows)
            if stop():
                network.load_state_dict(average.network.state_dict())
                network.to("cpu")
                outcome.interrupted = True
                return outcome
        scores = None
        if validation is not None:
            with accelerator.autocast():
                scores = validate(average.network, validation)
        record = {"epoch": epoch, "step": step, "learning_rate": config.learning_rate * factor(step - 1),
                  "loss": loss_sum / rows, "accuracy": correct / rows}  # fmt: skip
        outcome.history.append(record | {f"validation_{name}": value for name, value in (scores or {}).items()})
        progress.epoch(epoch, loss_sum / rows, correct / rows, scores)
        if best.offer(epoch, scores, average.network):
            break
    outcome.kept_epoch = best.epoch
    network.load_state_dict(best.weights or average.network.state_dict())
    network.to("cpu")
    return outcome


def _step(
    network: nn.Module, batch: batches.Batch, data: Examples, config: Config, accelerator: Any,
    optimizer: torch.optim.Optimizer,
) -> tuple[float, float]:  # fmt: skip
    """One optimizer step: its loss and how many rows were right. Without a finite loss the weights stay the same."""
    device = accelerator.device
    ids, mask = torch.from_numpy(batch.ids).to(device), torch.from_numpy(batch.mask).to(device)
    labels = torch.from_numpy(data.labels[batch.rows]).to(device)
    weights = torch.from_numpy(data.weights[batch.rows]).to(device)
    if config.token_dropout:
        ids = hide_tokens(ids, mask, config.token_dropout)
    with accelerator.autocast():
        logits = network(ids, mask).float()
    losses = cross_entropy(logits, labels, reduction="none", label_smoothing=config.label_smoothing)
    loss = (losses * weights).sum() / weights.sum().clamp(min=1e-12)  # a batch may hold rows of weight 0 alone
    if torch.isfinite(loss):
        optimizer.zero_grad()
        accelerator.backward(loss)
        if config.clip_norm:
            accelerator.clip_grad_norm_(network.parameters(), config.clip_norm)
        optimizer.step()
    return loss.item(), float((logits.argmax(1) == labels).sum())


def hide_tokens(ids: Tensor, mask: Tensor, share: float) -> Tensor:
    """A random share of the real tokens as [MASK], [CLS] never among them."""
    hidden = (torch.rand(ids.shape, device=ids.device) < share) & mask & (ids != CLS)
    return ids.masked_fill(hidden, MASK)


def validate(network: nn.Module, data: Examples) -> dict[str, float]:
    """Cross-entropy, accuracy and macro-F1 of a network, in evaluation mode, on the device that it is on."""
    network.eval()
    device = next(network.parameters()).device
    # Sorted by length: padding is cheap, and the order of the rows does not matter to the scores.
    order = np.argsort([len(row) for row in data.ids], kind="stable")
    parts = []
    with torch.inference_mode():
        for start in range(0, len(order), 256):
            ids, mask = batches.pad([data.ids[row] for row in order[start : start + 256]])
            ids, mask = torch.from_numpy(ids).to(device), torch.from_numpy(mask).to(device)
            parts.append(network(ids, mask).float().cpu())
    logits, labels = torch.cat(parts), torch.from_numpy(data.labels[order])
    cells = confusion(labels.numpy(), logits.argmax(1).numpy(), logits.shape[1])
    return {
        "loss": float(cross_entropy(logits, labels)),
        "accuracy": float(accuracy(cells)),
        "macro_f1": float(macro_f1(cells)),
    }


def _diverged(loss: float, step: int, epoch: int, learning_rate: float) -> DivergedError:
    return DivergedError(
        f"the loss must stay finite, got {loss} at step {step} (epoch {epoch}, learning rate {learning_rate:.2g})",
        hint=f"--set learning_rate={learning_rate / 3:.1g}",
    )


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
