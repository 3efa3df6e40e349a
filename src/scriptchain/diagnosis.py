"""One diagnosis from a target's name to a report: a preset, a config file, a run folder or a Hugging Face encoder."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import nn

from . import config as configs
from .config import Config
from .data.batches import pad
from .data.labels import Labels
from .data.records import Records, read
from .data.splits import split
from .data.tokenizer import CLS, Tokenizer
from .errors import DataError, UsageError
from .lab import Batch, Claim, costs, depth_claims, examine, judge
from .lab.depth_claims import judge_depth
from .lab.reading import reading
from .lab.streams import subset
from .lab.verdicts import HOLDS
from .model.pipeline import Network
from .report import Report, Table
from .runtime.bundle import Bundle
from .training.loop import Examples
from .training.seed import seeded
from .trials.cure import cure as run_cure
from .trials.cure import plan
from .trials.curves import curves
from .trials.paired import Task

BATCH, MAPPED, EXAMINED = 32, 32, 64  # texts: of a batch, of the map of heads, and of each finalist of a cure
TRAINED_DEPTHS = (1, 3, 6, 12)
Progress = Callable[[str], object]


@dataclass(frozen=True)
class Subject:
    """What is examined: initial and, where there are, trained weights, and texts as batches.

    `held_out` are texts that the trained weights did not learn from; `config` is that of a network of ours.
    """

    name: str
    initial: nn.Module
    trained: nn.Module | None
    batches: list[Batch]
    held_out: list[Batch]
    config: Config | None


def diagnose(
    target: str, *, rows: Records | None = None, depths: Sequence[int] = (), texts: int = 256, seed: int = 0,
    settings: Sequence[str] = (), cure: bool = False, minutes: float | None = None,
    progress: Progress = lambda line: None,
) -> Report:  # fmt: skip
    """What depth does to the target's stack, on its own kind of texts or on the bundled ones.

    `rows` are texts of its task, best those that it was trained on and some that it was not; `texts` of them are taken.
    `depths` examines the config's initial weights at other numbers of layers too. `cure` trains remedies for what holds
    on labelled `rows`, in about `minutes`.

    *Raises*: ConfigError, ModelError and DataError for what cannot be read; UsageError as `lab.examine`.
    """
    subject = subject_of(target, rows, texts, seed, settings)
    progress("initial weights")
    initial = examine(subject.initial, subject.batches, weights="initial", seed=seed, progress=progress)
    report = initial
    if subject.trained is not None:
        progress("trained weights")
        report = examine(
            subject.trained, subject.batches, held_out=subject.held_out, seed=seed, progress=progress
        )  # fmt: skip
    data: dict[str, Any] = {"target": target, **report.data}
    body: list[Any] = list(report.body)
    if subject.trained is not None:
        data["initial"] = initial.to_dict()
        body[2] = _beside(initial, report)
    network = subject.trained or subject.initial
    if isinstance(network, Network) and subject.config is not None:
        data["map"] = _map(network, subject, seed, progress)
        counted = costs(subject.config, target)
        data["cost"] = _merged(data["cost"], counted["cost"])
        body += counted.body[1:]
    if depths and subject.config is not None:
        data["depths"] = [
            _at_depth(subject.config, depth, subject, seed, progress) for depth in sorted(set(depths))
        ]  # fmt: skip
        body.append(_depth_table(data["depths"]))
    if depths and minutes is not None and not cure:
        task, _, _ = _task(_own_config(subject), rows, seed)
        trained = curves(_own_config(subject), depths, task, minutes=minutes, seed=seed, progress=progress)
        data["curves"] = trained.to_dict()
        body += trained.body
    if cure:
        tried = _cure(subject, data, rows, minutes, seed, progress)
        data["cure"] = tried.to_dict()
        body += tried.body
    return Report(f"what depth does to {target}", data, body)


def _cure(
    subject: Subject, data: dict[str, Any], rows: Records | None, minutes: float | None, seed: int, progress: Progress
) -> Report:
    config = _own_config(subject)
    task, learn, words = _task(config, rows, seed)
    holding = [name for name, one in data["verdicts"].items() if one["state"] == HOLDS]
    planned = plan(config, holding, task, minutes=minutes, seed=seed)
    batches = to_batches(_sample(learn, EXAMINED, seed), words.tokenizer, words.labels)
    return run_cure(config, holding, task, batches, planned, seed=seed, progress=progress)


def _own_config(subject: Subject) -> Config:
    if subject.config is None:
        raise UsageError("training must have a config of scriptchain, got a model of another library")
    return subject.config


def _task(config: Config, rows: Records | None, seed: int) -> tuple[Task, Records, "_Words"]:
    """Rows to learn, to choose by and to score on; the first of them as records too, with their vocabulary."""
    if rows is None or rows.labels is None:
        raise UsageError("training must have labelled texts, got none", hint="--data FILE")
    learn, choose, score = (rows.subset(part) for part in split(rows.texts, rows.labels, (0.8, 0.1, 0.1), seed=seed))
    words = _words(config, learn)
    train, chosen, scored = (_examples(part, words) for part in (learn, choose, score))
    return Task(train, chosen, scored, words.tokenizer.vocab_size, len(words.labels.names)), learn, words


def _examples(rows: Records, words: "_Words") -> Examples:
    assert rows.labels is not None
    numbers = words.labels.index(rows.labels)
    return Examples(words.tokenizer.encode(rows.texts).ids, numbers, np.ones(len(numbers), np.float32))


def judge_claim(
    sentence: str, target: str, *, rows: Records | None = None, texts: int = 256, seed: int = 0,
    settings: Sequence[str] = (), depths: Sequence[int] = (), minutes: float | None = None,
    progress: Progress = lambda line: None,
) -> Report:  # fmt: skip
    """The verdict on a claim about the target's stack. Raises UsageError for a sentence that is not a known claim."""
    config = config_of(target, settings)
    if "overfit" in sentence.lower():
        task, _, _ = _task(config, read("emotions") if rows is None else rows, seed)
        return curves(config, depths or TRAINED_DEPTHS, task, minutes=minutes, seed=seed, progress=progress)
    claim = depth_claims.parse(sentence)
    if claim is None:
        return judge(Claim.parse(sentence), config, progress=progress)
    words = _words(config, read("emotions") if rows is None else rows)
    batches = to_batches(_sample(words.rows, texts, seed), words.tokenizer, words.labels)

    def build(shaped: Config, number: int) -> Network:
        return fresh(shaped, words.tokenizer, words.labels, number)

    return judge_depth(claim, config, build, batches, seed, progress)


@dataclass(frozen=True)
class _Words:
    rows: Records
    tokenizer: Tokenizer
    labels: Labels


def _words(config: Config, rows: Records) -> _Words:
    """The vocabulary and classes that a training on these rows would have."""
    tokenizer = Tokenizer.train(
        rows.texts, kind=config.tokenizer, vocab_size=config.vocab_size, min_frequency=config.min_frequency,
        lowercase=config.lowercase, max_seq_len=config.max_seq_len, with_cls=config.pooling == "cls",
    )  # fmt: skip
    return _Words(rows, tokenizer, Labels.from_names(rows.labels or ["", "none"]))


def subject_of(target: str, rows: Records | None, texts: int, seed: int, settings: Sequence[str] = ()) -> Subject:
    path = Path(target)
    if path.is_dir():
        _without_settings(target, settings)
    if path.is_dir() and not (path / "manifest.json").exists():
        from .lab import hugging_face

        if hugging_face.is_folder(path):
            kept = _sample(read("emotions") if rows is None else rows, texts, seed)
            batches = hugging_face.batches(path, kept.texts)
            initial, trained = (hugging_face.load(path, initial=fresh, seed=seed) for fresh in (True, False))
            return Subject(target, initial, trained, batches, [], None)
    if path.is_dir():
        return _of_run(target, Bundle(path), rows, texts, seed)
    config = config_of(target, settings)
    words = _words(config, read("emotions") if rows is None else rows)
    network = fresh(config, words.tokenizer, words.labels, seed)
    batches = to_batches(_sample(words.rows, texts, seed), words.tokenizer, words.labels)
    return Subject(target, network, None, batches, [], config)


def config_of(target: str, settings: Sequence[str] = ()) -> Config:
    """Of a preset, a config file or a run folder; a folder's weights are of its own config alone."""
    path = Path(target)
    if path.is_dir():
        _without_settings(target, settings)
        return Bundle(path).config
    file = path if path.suffix == ".toml" else None
    return configs.resolve(None if file else target, file, settings)


def _without_settings(target: str, settings: Sequence[str]) -> None:
    if settings:
        raise UsageError(f"--set must stand beside a preset or config file, got the folder {target!r}",
                         hint="scriptchain diagnose small --set num_layers=6")  # fmt: skip


def fresh(config: Config, tokenizer: Tokenizer, labels: Labels, seed: int) -> Network:
    with seeded(seed):
        return Network(config, tokenizer.vocab_size, len(labels.names))


def to_batches(rows: Records, tokenizer: Tokenizer, labels: Labels | None) -> list[Batch]:
    """Texts of similar length together; without labels where the rows have none or others."""
    known = labels is not None and rows.labels is not None and set(rows.labels) <= set(labels.names)
    truth = labels.index(rows.labels) if labels is not None and rows.labels is not None and known else None
    ids = tokenizer.encode(rows.texts).ids
    order = np.argsort([len(one) for one in ids], kind="stable")
    batches = []
    for start in range(0, len(order), BATCH):
        chosen = order[start : start + BATCH]
        padded, mask = pad([ids[row] for row in chosen])
        inputs = torch.from_numpy(padded)
        numbers = None if truth is None else torch.from_numpy(truth[chosen])
        batches.append(Batch(inputs, torch.from_numpy(mask), numbers, inputs == CLS))
    return batches


def _of_run(target: str, bundle: Bundle, rows: Records | None, texts: int, seed: int) -> Subject:
    config, labels, tokenizer = bundle.config, bundle.labels, bundle.tokenizer
    rows = read("emotions") if rows is None else rows
    seen = bundle.saw(rows.texts)
    learned, other = rows.subset(np.flatnonzero(seen)), rows.subset(np.flatnonzero(~seen))
    if len(learned) < len(other):  # of another set, or mostly: one measurement of all of it
        learned, other = rows, rows.subset([])
    trained = fresh(config, tokenizer, labels, config.seed)
    trained.load_state_dict(safetensors.torch.load(bundle.read("model.safetensors")))
    held_out = to_batches(_sample(other, texts, seed), tokenizer, labels) if len(other) else []
    batches = to_batches(_sample(learned, texts, seed), tokenizer, labels)
    if any(batch.labels is None for batch in [*batches, *held_out]):
        held_out = []
    return Subject(target, fresh(config, tokenizer, labels, config.seed), trained, batches, held_out, config)


def _sample(rows: Records, texts: int, seed: int) -> Records:
    if not len(rows):
        raise DataError("the rows must hold texts to examine, got none")
    return rows.subset(np.sort(np.random.default_rng(seed).permutation(len(rows))[:texts]))


def _map(network: Network, subject: Subject, seed: int, progress: Progress) -> dict[str, Any]:
    spread = subject.batches[:: max(1, len(subject.batches) // 4)]  # short and long texts
    found = reading(network, subset(spread, MAPPED), seed, progress)
    return {
        "heads": len(found.change[0]), "change": found.change, "layers": found.layers, "input": found.entering,
        "weights": "initial" if subject.trained is None else "trained",
    }  # fmt: skip


def _at_depth(config: Config, depth: int, subject: Subject, seed: int, progress: Progress) -> dict[str, Any]:
    progress(f"depth {depth}")
    assert isinstance(subject.initial, Network)
    with seeded(seed):
        vocab, classes = subject.initial.encoder.tokens.num_embeddings, _classes(subject.initial)
        network = Network(configs.replace(config, num_layers=depth), vocab, classes)
    report = examine(network, subject.batches, weights="initial", seed=seed)
    return {"num_layers": depth, "verdicts": report["verdicts"]}


def _classes(network: Network) -> int:
    last = network.head.mlp[-1]
    assert isinstance(last, nn.Linear)
    return last.out_features


def _merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Both, key by key; laws over a grid of depths win over the law of one stack's layers."""
    return {key: {**one.get(key, {}), **other.get(key, {})} for key in {**one, **other}}


def _beside(initial: Report, trained: Report) -> Table:
    titles = ["verdict", "initial", "trained", "value", "threshold", "what was seen"]
    rows = [
        [name, initial["verdicts"][name]["state"], one["state"], _number(one["value"]),
         f"{one['side']} {one['threshold']:g}", one["says"]]
        for name, one in trained["verdicts"].items()
    ]  # fmt: skip
    return Table("verdicts", titles, rows)


def _depth_table(found: Sequence[dict[str, Any]]) -> Table:
    names = list(found[0]["verdicts"])
    rows = [
        [name, *(f"{one['verdicts'][name]['state']} ({_number(one['verdicts'][name]['value'])})" for one in found)]
        for name in names
    ]
    return Table(
        "verdicts by depth, initial weights", ["verdict", *(f"{one['num_layers']} layers" for one in found)], rows
    )


def _number(value: float) -> str:
    return "-" if value != value else f"{value:.3g}"
