"""The closed schema of a model and its training: keys, types, ranges, presets, and the one dial for depth."""

import difflib
import json
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from .errors import ConfigError, UsageError

Count = Annotated[int, Meta(ge=1, le=1_000_000_000)]
Width = Annotated[int, Meta(ge=1, le=65_536)]
Share = Annotated[float, Meta(ge=0, lt=1)]
Rate = Annotated[float, Meta(gt=0, le=10)]
NonNegative = Annotated[float, Meta(ge=0, le=1_000_000)]
Positive = Annotated[float, Meta(gt=0, le=1_000_000)]


BORROWED = ("wordpiece", "roberta", "unigram")  # tokenizers that come with a pre-trained encoder


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything that decides a model; a run folder's `config.json` is this and nothing else.

    Lengths are in tokens, rates per optimizer step, `warmup` is a share of all steps, `step_size`
    and `patience` are in epochs; `clip_norm` 0 clips nothing, `patience` 0 trains every epoch and keeps the last,
    `weight_average` 0 averages nothing, `layer_scale` 0 learns no gain. A batch is `batch_size` texts or, where
    `batch_tokens` is not 0, as many as come to that many tokens. The head pools `pooled_layers` of the layers
    side by side, evenly spaced, the last among them. `token_ngrams` is the initial scale of what tokens share with
    others of like spelling, in units of `embedding_std`, and 0 for nothing. `init` names whose trained weights are the
    start; `frozen` fits the head alone, once `contrastive_steps` have drawn the texts of a class together; for
    `masked_epochs` the hidden tokens of all texts, unlabelled ones too, are learned first; `layer_decay` lets each
    layer learn at that share of the rate of the one above, `positions_rate` the encodings at that many times the rate.
    A `linear` model is TF-IDF + logistic regression, to which `seed` and `class_weights` alone mean anything.
    """

    preset: str = "small"
    model: Literal["encoder", "linear"] = "encoder"

    # start
    init: dict[Literal["backbone", "embeddings"], str] = {}
    frozen: bool = False
    contrastive_steps: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    masked_epochs: Annotated[int, Meta(ge=0, le=1_000_000)] = 0

    # tokens
    tokenizer: Literal["word", "bpe", "whole", "wordpiece", "roberta", "unigram"] = "bpe"
    lowercase: bool = True
    vocab_size: Annotated[int, Meta(ge=300, le=10_000_000)] = 8_000
    min_frequency: Count = 2
    max_seq_len: Annotated[int, Meta(ge=2, le=65_536)] = 64

    # model
    d_model: Width = 128
    num_heads: Annotated[int, Meta(ge=1, le=1_024)] = 8
    num_layers: Annotated[int, Meta(ge=1, le=1_024)] = 3
    d_feedforward: Width = 512
    activation: Literal["relu", "gelu"] = "gelu"
    residual: Literal["pre_norm", "post_norm", "deep_norm", "rezero"] = "pre_norm"
    residual_scale: Positive = 1.0
    branch_scale: Literal["none", "inverse_sqrt_depth"] = "none"
    layer_scale: NonNegative = 0.0
    norm_eps: Annotated[float, Meta(gt=0, le=1)] = 1e-5
    stochastic_depth: Share = 0.0
    qk_norm: bool = False
    positions: str = "learned"
    positions_options: dict[str, Any] = {}
    positions_shared: bool = False
    positions_reinjected: bool = False
    embedding_std: Positive = 0.05
    token_ngrams: NonNegative = 0.0
    embedding_norm: bool = False
    pooling: Literal["mean", "max", "cls", "attention"] = "mean"
    pooled_layers: Annotated[int, Meta(ge=1, le=1_024)] = 1
    head_layers: list[Width] = []
    num_classes: Annotated[int, Meta(ge=2, le=1_000_000)] | None = None
    dropout: Share = 0.1

    # training
    optimizer: Literal["adam", "adamw"] = "adamw"
    learning_rate: Rate = 1e-3
    layer_decay: Annotated[float, Meta(gt=0, le=1)] = 1.0
    positions_rate: Annotated[float, Meta(gt=0, le=1_000)] = 1.0
    weight_decay: NonNegative = 0.01
    schedule: Literal["constant", "step", "cosine"] = "cosine"
    warmup: Share = 0.1
    step_size: Count = 5
    gamma: Annotated[float, Meta(gt=0, le=1)] = 0.8
    clip_norm: NonNegative = 1.0
    batch_size: Annotated[int, Meta(ge=1, le=1_000_000)] = 32
    batch_tokens: Annotated[int, Meta(ge=0, le=1_000_000_000)] = 0
    epochs: Annotated[int, Meta(ge=1, le=1_000_000)] = 15
    patience: Annotated[int, Meta(ge=0, le=1_000_000)] = 4
    sort_by_length: bool = True
    token_dropout: Share = 0.0
    weight_average: Share = 0.0
    label_smoothing: Share = 0.0
    class_weights: Literal["balanced"] | dict[str, Positive] | None = None
    precision: Literal["fp32", "bf16"] = "fp32"
    seed: Annotated[int, Meta(ge=0, le=2**32 - 1)] = 0

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[\w-]+(\s*[+/]\s*[\w-]+)*", self.positions):
            raise ConfigError(
                f"positions must be names of encodings joined by + or /, got {self.positions[:80]!r}",
                hint="scriptchain encodings lists them",
            )
        if len(self.init) > 1:
            raise ConfigError(
                f"init must name one start, got {' and '.join(sorted(self.init))}",
                hint=f"init.backbone={self.init['backbone']}",
            )
        if self.pooled_layers > self.num_layers:
            raise ConfigError(
                f"pooled_layers must be at most num_layers {self.num_layers}, got {self.pooled_layers}",
                hint=f"pooled_layers={self.num_layers}",
            )
        if self.frozen and ("backbone" not in self.init or self.head_layers):
            raise ConfigError(
                "frozen must stand beside init.backbone and a head without head_layers, got another start or head",
                hint="--preset frozen",
            )
        if self.contrastive_steps and not self.frozen:
            raise ConfigError(
                f"contrastive_steps must be 0 unless frozen fits a head behind them, got {self.contrastive_steps}",
                hint="--preset few",
            )
        if self._borrowed != ("backbone" in self.init):
            raise ConfigError(
                f"tokenizer must be {', '.join(BORROWED)} with init.backbone and only there, got {self.tokenizer}",
                hint=f"tokenizer={'wordpiece' if self.init else 'whole'}",
            )
        if self._borrowed and self.max_seq_len < 3:
            raise ConfigError(
                f"max_seq_len must be at least 3 with init.backbone, for [CLS] and [SEP], got {self.max_seq_len}",
                hint="max_seq_len=64",
            )
        if self.tokenizer in ("roberta", "unigram") and self.lowercase:
            raise ConfigError(
                f"lowercase must be false with tokenizer {self.tokenizer}, got true", hint="lowercase=false"
            )
        if 0 < self.batch_tokens < self.max_seq_len:
            raise ConfigError(
                f"batch_tokens must be 0 or at least max_seq_len {self.max_seq_len}, got {self.batch_tokens}",
                hint=f"batch_tokens={8 * self.max_seq_len}",
            )
        if self.d_model % self.num_heads:
            heads = max(h for h in range(1, self.num_heads) if self.d_model % h == 0)
            raise ConfigError(
                f"num_heads must divide d_model {self.d_model}, got {self.num_heads}", hint=f"num_heads={heads}"
            )
        if self.qk_norm and self.num_heads == self.d_model:  # a norm over one channel leaves 0
            raise ConfigError(
                f"num_heads must be less than d_model {self.d_model} with qk_norm, got {self.num_heads}",
                hint="qk_norm=false",
            )
        if self.residual == "rezero" and self.layer_scale:  # both are the branch's learned gain
            raise ConfigError(
                f"layer_scale must be 0 with residual rezero, whose gain starts at 0, got {self.layer_scale}",
                hint="layer_scale=0",
            )
        if self.residual == "deep_norm" and self.residual_scale != 1:  # both are the branch's initial scale
            raise ConfigError(
                f"residual_scale must be 1 with residual deep_norm, whose depth sets it, got {self.residual_scale}",
                hint="residual_scale=1",
            )

    @property
    def starts_with_cls(self) -> bool:
        """Whether [CLS] stands before each text."""
        return self.pooling == "cls" or self._borrowed

    @property
    def _borrowed(self) -> bool:
        """Whether the tokenizer came with a pre-trained encoder."""
        return self.tokenizer in BORROWED


KEYS = Config.__struct_fields__
LINEAR = ("preset", "model", "num_classes", "class_weights", "seed")  # what means anything to a linear model


def make(values: Mapping[str, Any]) -> Config:
    """A checked Config from plain values. Raises ConfigError naming the key, its rule and the value."""
    for key in values:
        if key not in KEYS:
            raise ConfigError(f"config key must be a known one, got {key!r}", hint=_nearest(key, KEYS, "keys"))
    try:
        return msgspec.convert(dict(values), Config)
    except msgspec.ValidationError as error:
        raise _as_config_error(error, values) from None


def to_dict(config: Config) -> dict[str, Any]:
    return msgspec.to_builtins(config)


def to_toml(config: Config) -> str:
    """A config file that resolves to the same config: its preset, and the keys in which it differs from that."""
    usual, values = to_dict(make(preset_values(config.preset))), to_dict(config)
    told = {key for key, value in values.items() if value != usual[key]} | {"preset"}
    if "positions" in told:
        told.add("positions_options")  # another encoding would leave those of the preset behind
    lines = [f"{key} = {_toml(value)}" for key, value in values.items() if key in told]
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {_toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)  # strings, numbers and truth values are spelled as in JSON


def replace(config: Config, **changes: Any) -> Config:
    """A copy with other values, checked as `make` does."""
    return make(to_dict(config) | changes)


def resolve(
    preset: str | None = None,
    file: str | os.PathLike[str] | None = None,
    settings: Sequence[str] = (),
    overrides: Mapping[str, Any] | None = None,
    depth: int | None = None,
) -> Config:
    """Preset, then the file's keys, then the depth dial, then `key=value` settings and overrides: later wins.

    The dial starts from the file's depth, and follows from what settings and overrides say of the branches.
    """
    values = _read_toml(Path(file)) if file is not None else {}
    if preset is not None:
        values["preset"] = preset
    values = _over(preset_values(values.get("preset", "small")), values)
    chosen = _changed(values, settings, overrides or {})
    if depth is not None:
        dialed = to_dict(at_depth(make(chosen | {"num_layers": values["num_layers"]}), depth))
        chosen = _changed(values | {key: dialed[key] for key in DIAL}, settings, overrides or {})
    return make(chosen)


LARGEST = 2**20  # bytes of a config file
DIAL = ("num_layers", "residual_scale", "learning_rate", "warmup")


def _changed(values: Mapping[str, Any], settings: Sequence[str], overrides: Mapping[str, Any]) -> dict[str, Any]:
    changed = dict(values)
    for setting in sorted(settings, key=lambda text: not text.startswith("positions=")):
        key, value = _parse_setting(setting)
        if key == "preset":  # its name alone would say that values were taken from it
            raise UsageError(f"preset must be chosen by --preset, got --set {setting}", hint=f"--preset {value}")
        _assign(changed, key, value)
    return _over(changed, overrides)


def _over(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`changes` win; another encoding leaves behind the options of the one that it replaces."""
    replaced = "positions" in changes and changes["positions"] != values.get("positions")
    return {**values, **({"positions_options": {}} if replaced else {}), **changes}


def preset_names() -> list[str]:
    folder = resources.files("scriptchain") / "presets"
    return sorted(file.name.removesuffix(".toml") for file in folder.iterdir() if file.name.endswith(".toml"))


def preset_text(name: object) -> str:
    """The preset's TOML file as it is shipped. Raises UsageError naming the nearest preset."""
    if name == "auto":
        raise UsageError("preset must be one recipe here, got auto, which tries them all",
                         hint="scriptchain train FILE --preset auto, or scriptchain.ladder.train")  # fmt: skip
    if name not in preset_names():
        raise UsageError(f"preset must be a known one, got {name!r}", hint=_nearest(name, preset_names(), "presets"))
    return (resources.files("scriptchain") / "presets" / f"{name}.toml").read_text(encoding="utf-8")


def preset_values(name: object) -> dict[str, Any]:
    return tomllib.loads(preset_text(name)) | {"preset": name}


def at_depth(config: Config, num_layers: int) -> Config:
    """The same recipe for another number of layers; the width never changes.

    The sum of N residual branches grows as sqrt(N), so the initial scale of each branch and the learning rate
    fall as 1/sqrt(N) (the GPT-2 rule for the first); a deeper stack warms up longer, up to half of the run.
    Branches that `residual`, `branch_scale` or `layer_scale` already make small keep their initial scale.
    """
    if num_layers < 1:
        raise ConfigError(f"depth must be at least 1, got {num_layers}", hint="--depth 3")
    deeper = num_layers / config.num_layers
    small = config.residual in ("deep_norm", "rezero") or config.branch_scale != "none" or config.layer_scale > 0
    return replace(
        config,
        num_layers=num_layers,
        residual_scale=config.residual_scale * (1.0 if small else deeper**-0.5),
        learning_rate=config.learning_rate * deeper**-0.5,
        warmup=max(config.warmup, min(0.5, max(config.warmup, 0.05) * deeper) if deeper > 1 else 0.0),
    )


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise ConfigError(f"{path}: the config file must have at most {LARGEST:,} bytes")
        return tomllib.loads(content.decode("utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: the config file must exist", hint="scriptchain presets copy small my.toml"
        ) from None
    except OSError as error:
        raise ConfigError(f"{path}: the config file cannot be read ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: the config file must be TOML: {error}") from None
    except RecursionError:
        raise ConfigError(f"{path}: the config file must be TOML, got one nested too deep") from None


def _parse_setting(setting: str) -> tuple[str, Any]:
    key, equals, text = setting.partition("=")
    if not equals or not key.strip():
        raise UsageError(f"--set must be key=value, got {setting!r}", hint="--set num_layers=6")
    try:
        (value,) = tomllib.loads(f"value = {text}").values()
    except ValueError:  # no TOML, or a line break and more keys behind it
        value = text.strip()  # a bare word is a string: --set pooling=cls
    except RecursionError:
        raise UsageError(f"--set {key.strip()} must be TOML, got a value nested too deep") from None
    return key.strip(), None if value in ("none", "null") and key.strip() in OPTIONAL else value


OPTIONAL = ("num_classes", "class_weights")


def _assign(values: dict[str, Any], key: str, value: Any) -> None:
    table, dot, name = key.partition(".")
    if not dot:
        values.update(_over(values, {key: value}))
    elif table in ("init", "positions_options", "class_weights"):
        # The options of an encoding among several are a table of its own; a label may have dots in it.
        place, dot, option = name.partition(".") if table == "positions_options" else (name, "", "")
        current = _table(values.get(table))
        values[table] = {**current, place: {**_table(current.get(place)), option: value} if dot else value}
    else:
        raise ConfigError(f"config key must be a known one, got {key!r}", hint=_nearest(table, KEYS, "keys"))


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _nearest(name: object, known: Sequence[str], what: str) -> str:
    close = difflib.get_close_matches(str(name), known, n=1, cutoff=0.4)
    return f"did you mean {close[0]!r}?" if close else f"the {what} are {', '.join(known)}"


_KINDS = {"int": "an integer", "float": "a number", "str": "text", "bool": "true or false", "object": "a table",
          "array": "a list", "null": "none"}  # fmt: skip


def _as_config_error(error: msgspec.ValidationError, values: Mapping[str, Any]) -> ConfigError:
    if isinstance(error.__cause__, ConfigError):
        return error.__cause__
    message, _, path = str(error).partition(" - at ")
    key = re.findall(r"\$\.(\w+)", path)[0]
    if message.startswith("Invalid enum value"):
        rule = f"be one of {', '.join(_choices(key))}"
    else:
        rule = "be " + re.sub(r", got .*$", "", message).removeprefix("Expected ").replace("`", "")
        for kind, name in _KINDS.items():
            rule = re.sub(rf"\b{kind}\b", name, rule)
        rule = rule.replace(" | ", " or ")
    return ConfigError(f"{key} must {rule}, got {values.get(key)!r}")


def _choices(key: str) -> list[str]:
    found: list[str] = []
    for kind in (Config.__annotations__[key], *getattr(Config.__annotations__[key], "__args__", ())):
        found += [choice for choice in getattr(kind, "__args__", ()) if isinstance(choice, str)]
    return list(dict.fromkeys(found))
