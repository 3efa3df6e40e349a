"""What is compared: one config a candidate, of everything that varies."""

import hashlib
import itertools
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

from .. import config as configs
from ..config import Config
from ..errors import ConfigError, UsageError
from ..training.estimate import refuse_what_cannot_fit

MOST = 64
FAMILIES = ("none", "learned", "sinusoidal", "rope", "alibi", "t5_bias")  # one of each, if nobody names any


@dataclass(frozen=True)
class Arm:
    """A candidate: what it differs in, and its whole config."""

    name: str
    config: Config

    @property
    def id(self) -> str:
        """A digest of all that decides what its trainings come to, but their seed. Keys at their default are left
        out, so that a pool outlives a version that adds one."""
        usual = configs.to_dict(Config())
        told = {key: value for key, value in configs.to_dict(self.config).items() if value != usual[key]} | {"seed": 0}
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


def arms_of(
    preset: str, positions: Sequence[str] = (), vary: Sequence[str] = (), settings: Sequence[str] = ()
) -> list[Arm]:
    """Every combination of the encodings and of the values of each `key=value,value`; `depth` turns the depth dial.

    *Raises*: UsageError for fewer than two arms, more than 64, or two that are the same; ConfigError as `resolve`.
    """
    axes = [("positions", list(positions))] if positions else []
    for one in vary:
        key, equals, values = one.partition("=")
        if not equals or not all(part.strip() for part in values.split(",")):
            raise UsageError(f"--vary must be KEY=VALUE,VALUE, got {one[:80]!r}", hint="--vary d_model=64,128")
        axes.append((key.strip(), [part.strip() for part in values.split(",")]))
    number = math.prod(len(values) for _, values in axes)
    if not 2 <= number <= MOST:
        raise UsageError(f"candidates must be 2 to {MOST}, got {number}", hint="--positions learned,rope,alibi")
    arms = []
    for chosen in itertools.product(*(values for _, values in axes)):
        told = [f"{key}={value}" for (key, _), value in zip(axes, chosen, strict=True)]
        name = ", ".join(value if key == "positions" else f"{key} {value}"
                         for (key, _), value in zip(axes, chosen, strict=True))  # fmt: skip
        arms.append(Arm(name, _config(preset, settings, told)))
    twice = [arm.name for number, arm in enumerate(arms) if arm.id in {one.id for one in arms[:number]}]
    if twice:
        raise UsageError(f"candidates must differ, got {twice[0]!r} twice")
    return arms


def _config(preset: str, settings: Sequence[str], told: Sequence[str]) -> Config:
    depth = next((one.partition("=")[2] for one in told if one.startswith("depth=")), None)
    if depth is not None and not depth.isdecimal():
        raise UsageError(f"depth must be a number of layers, got {depth[:40]!r}", hint="--vary depth=2,4,8")
    changed = [one for one in told if not one.startswith("depth=")]
    config = configs.resolve(preset, settings=[*settings, *changed], depth=None if depth is None else int(depth))
    if config.model == "linear" or config.frozen:
        raise ConfigError("candidates must be trained by steps, got a linear or frozen model", hint="--preset small")
    refuse_what_cannot_fit(config, config.vocab_size, 2)
    return config


def baseline_of(arms: Sequence[Arm], name: str) -> Arm:
    """The candidate of that name. Raises UsageError."""
    found = [arm for arm in arms if arm.name == name]
    if not found:
        raise UsageError(f"--baseline must be one of the candidates, got {name!r}",
                         hint=f"--baseline {arms[0].name!r}")  # fmt: skip
    return found[0]


def without_positions(config: Config) -> Config:
    """The same in all but positions: what candidates that differ in these alone have in common."""
    return configs.replace(
        config, positions="none", positions_options={}, positions_shared=False, positions_reinjected=False
    )
