"""Everything that the next step of a training depends on, as tensors and JSON: put back, it goes on bit for bit."""

from dataclasses import dataclass, field
from typing import Any

import msgspec
import torch
from torch import Tensor, nn

from ..errors import ModelError
from .average import Average
from .best import Best


class Numbers(msgspec.Struct, forbid_unknown_fields=True):
    """Where a run stands. `epoch` counts from 1 and is the one at hand, `batch` and the sums are of it alone;
    `seconds` were spent until then; `finished` means that no step is left."""

    epoch: int = 1
    batch: int = 0
    step: int = 0
    rows: int = 0
    loss_sum: float = 0.0
    correct: float = 0.0
    seconds: float = 0.0
    finished: bool = False
    best_epoch: int = 0
    best_score: tuple[float, float] | None = None
    history: list[dict[str, Any]] = msgspec.field(default_factory=list)


@dataclass
class State:
    """The parts of a run; torch's random state is the process's own and is read and set by `tensors` and `restore`."""

    network: nn.Module
    optimizer: torch.optim.Optimizer
    average: Average
    best: Best
    at: Numbers = field(default_factory=Numbers)

    def tensors(self) -> dict[str, Tensor]:
        """All of it that is not in `numbers`, by name, on the CPU."""
        parts: dict[str, Tensor] = {"random.cpu": torch.get_rng_state()}
        if torch.cuda.is_available():
            parts |= {f"random.cuda.{number}": one for number, one in enumerate(torch.cuda.get_rng_state_all())}
        for name, owner in self._owners().items():
            parts |= {f"{name}.{key}": value for key, value in owner.items()}
        for number, values in self.optimizer.state_dict()["state"].items():
            parts |= {f"optimizer.{number}.{key}": value for key, value in values.items()}
        return {name: part.detach().cpu().contiguous() for name, part in parts.items()}

    def numbers(self) -> bytes:
        self.at.best_epoch, self.at.best_score = self.best.epoch, self.best.score
        return msgspec.json.encode(self.at)

    def restore(self, tensors: dict[str, Tensor], numbers: bytes) -> None:
        """Puts everything back. Raises ModelError where the parts are not those of this network and optimizer."""
        try:
            at = msgspec.json.decode(numbers, type=Numbers)
        except msgspec.DecodeError as error:
            raise ModelError(f"a checkpoint must say where its run stood ({error})") from None
        groups: dict[str, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            groups.setdefault(name.partition(".")[0], {})[name.partition(".")[2]] = tensor
        best = groups.pop("best", None)
        owners = self._owners()
        owners.pop("best", None)
        wanted, given = {*owners, "random"}, set(groups) - {"optimizer"}
        if given != wanted:
            raise ModelError(f"a checkpoint must hold {', '.join(sorted(wanted))}, got {', '.join(sorted(given))}")
        for name, own in owners.items():
            _same_shapes(name, groups[name], own)
        if best is not None:
            _same_shapes("best", best, owners["network"])
        moments = self._moments(groups.get("optimizer", {}))
        for name, own in owners.items():
            for key, value in own.items():
                value.copy_(groups[name][key])
        self.optimizer.load_state_dict({"state": moments, "param_groups": self.optimizer.state_dict()["param_groups"]})
        self.at, self.best.epoch, self.best.score, self.best.weights = at, at.best_epoch, at.best_score, best
        _set_random(groups["random"])

    def _owners(self) -> dict[str, dict[str, Tensor]]:
        """Who has weights: the network, and its average and its best epoch where they are others."""
        owners = {"network": self.network.state_dict()}
        if self.average.network is not self.network:
            owners["average"] = self.average.network.state_dict()
        if self.best.weights is not None:
            owners["best"] = self.best.weights
        return owners

    def _moments(self, flat: dict[str, Tensor]) -> dict[int, dict[str, Tensor]]:
        parameters = [one for group in self.optimizer.param_groups for one in group["params"]]
        found: dict[int, dict[str, Tensor]] = {}
        for name, tensor in flat.items():
            number, _, key = name.partition(".")
            known = number.isdecimal() and int(number) < len(parameters) and key in ("step", "exp_avg", "exp_avg_sq")
            if not known or tensor.shape != (() if key == "step" else parameters[int(number)].shape):
                raise ModelError(f"a checkpoint must fit its optimizer, got optimizer.{name} {tuple(tensor.shape)}")
            found.setdefault(int(number), {})[key] = tensor
        return found


def _same_shapes(name: str, given: dict[str, Tensor], own: dict[str, Tensor]) -> None:
    shapes = [{key: (one.shape, one.dtype) for key, one in side.items()} for side in (given, own)]
    if shapes[0] != shapes[1]:
        key = min(key for key in shapes[0].keys() | shapes[1].keys() if shapes[0].get(key) != shapes[1].get(key))
        raise ModelError(f"a checkpoint must fit its network, got another {name}.{key}")


def _set_random(states: dict[str, Tensor]) -> None:
    torch.set_rng_state(states["cpu"])
    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            if f"cuda.{number}" in states:
                torch.cuda.set_rng_state(states[f"cuda.{number}"], number)
