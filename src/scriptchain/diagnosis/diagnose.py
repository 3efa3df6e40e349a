"""The straight line of a diagnosis: examine, map, count, look at other depths, train if asked, report."""

from collections.abc import Sequence
from typing import Any

from .. import config as configs
from ..config import Config
from ..data.records import Records
from ..errors import UsageError
from ..lab import costs, examine
from ..lab.reading import reading
from ..lab.streams import subset
from ..lab.summary import short, summary
from ..lab.verdicts import HOLDS, of_cost
from ..model.pipeline import Network
from ..report import Report, Table
from ..trials.cure import cure as run_cure
from ..trials.cure import plan
from ..trials.curves import curves
from ..trials.paired import Progress
from ..trials.remedies import remedies_for
from .subject import Subject, subject_of
from .texts import training_task

MAPPED = 32  # texts that the map of heads is drawn from


def diagnose(
    target: str, *, rows: Records | None = None, depths: Sequence[int] = (), texts: int = 256, seed: int = 0,
    settings: Sequence[str] = (), cure: bool = False, minutes: float | None = None,
    progress: Progress = lambda line: None,
) -> Report:  # fmt: skip
    """What depth does to the target's stack, on its own kind of texts or on the bundled ones.

    `rows` are texts of its task, best those that it was trained on and some that it was not; `texts` of them are taken.
    `depths` looks at the config's initial weights at other numbers of layers too, and trains them where `minutes` are
    given. `cure` trains remedies for what holds; both need labelled rows.

    *Raises*: ConfigError, ModelError and DataError for what cannot be read; UsageError as `lab.examine`, and for
    training without labels or without a config of ours.
    """
    subject = subject_of(target, rows, texts, seed, settings)
    trains = cure or (bool(depths) and minutes is not None)
    if trains:  # before anything is measured
        _check_can_train(subject, rows)
    progress("initial weights")
    initial = examine(subject.initial, subject.batches, weights="initial", seed=seed, progress=progress)
    report = initial
    if subject.trained is not None:
        progress("trained weights")
        report = examine(subject.trained, subject.batches, held_out=subject.held_out, seed=seed, progress=progress)
    data: dict[str, Any] = {"target": target, **report.data}
    body: list[Table | str] = []
    if subject.trained is not None:
        data["initial"] = initial.to_dict()
    network, config = subject.trained or subject.initial, subject.config
    if isinstance(network, Network) and config is not None:
        data["map"] = _map(network, subject, seed, progress)
        counted = costs(config, target)
        data["cost"] = {key: data["cost"].get(key, {}) | one for key, one in counted["cost"].items()}
        body += counted.body[1:]
        law = data["cost"]["flops"]["depth"]  # of a grid of depths: better evidence than one stack's layers
        judged = of_cost(law["law"], law["exponent"]["value"], law["exponential_margin"]).to_dict()
        data["verdicts"] = data["verdicts"] | {"cost_exponential": judged}
    if depths and config is not None:
        data["depths"] = [_at_depth(config, depth, subject, seed, progress) for depth in sorted(set(depths))]
        body.append(_depth_table(data["depths"]))
    if trains and config is not None and rows is not None:
        if cure:
            tried = _cure(config, data, rows, minutes, seed, progress)
            data["cure"] = None if tried is None else tried.to_dict()
            body += ["nothing that holds has a remedy here: nothing was trained"] if tried is None else tried.body
        else:
            task, _ = training_task(config, rows, seed)
            trained = curves(config, depths, task, minutes=minutes, seed=seed, progress=progress)
            data["curves"] = trained.to_dict()
            body += trained.body
    return Report(f"what depth does to {target}", data, [*summary(data), *body])


def _check_can_train(subject: Subject, rows: Records | None) -> None:
    if subject.config is None:
        raise UsageError("training must have a config of scriptchain, got a model of another library")
    if rows is None or rows.labels is None:
        raise UsageError("training must have labelled texts, got none", hint="--data FILE")


def _cure(
    config: Config, data: dict[str, Any], rows: Records, minutes: float | None, seed: int, progress: Progress
) -> Report | None:
    """None where no remedy is known for what holds."""
    holding = [name for name, one in data["verdicts"].items() if one["state"] == HOLDS]
    if not remedies_for(config, holding):
        return None
    task, batches = training_task(config, rows, seed)
    look = data["cpu_seconds"] * sum(len(batch.mask) for batch in batches) / data["texts"]
    planned = plan(config, holding, task, minutes=minutes, examined=look, seed=seed)
    return run_cure(config, holding, task, batches, planned, seed=seed, progress=progress)


def _map(network: Network, subject: Subject, seed: int, progress: Progress) -> dict[str, Any]:
    found = reading(network, subset(subject.batches, MAPPED), seed, progress)
    return {
        "heads": len(found.change[0]), "change": found.change, "layers": found.layers, "input": found.entering,
        "weights": "initial" if subject.trained is None else "trained",
    }  # fmt: skip


def _at_depth(config: Config, depth: int, subject: Subject, seed: int, progress: Progress) -> dict[str, Any]:
    assert subject.words is not None
    progress(f"depth {depth}")
    network = subject.words.build(configs.replace(config, num_layers=depth), seed)
    report = examine(network, subject.batches, weights="initial", seed=seed)
    return {"num_layers": depth, "verdicts": report["verdicts"]}


def _depth_table(found: Sequence[dict[str, Any]]) -> Table:
    rows = [
        [name, *(f"{one['verdicts'][name]['state']} ({short(one['verdicts'][name]['value'])})" for one in found)]
        for name in found[0]["verdicts"]
    ]
    titles = ["verdict", *(f"{one['num_layers']} layers" for one in found)]
    return Table("verdicts by depth, initial weights", titles, rows)
