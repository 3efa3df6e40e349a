"""How early is a verdict? The dose from which it holds, beside the dose from which the plant costs accuracy.

The verdict is taken of the stack as it starts (of `label_noise` after training); the accuracy is that of a stack
trained with the plant in it on generated sentences in which order alone decides, on sentences it never saw.
"""

import json
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import plants
import torch
from torch import nn

from scriptchain.lab import Batch, examine

DEPTH, SEEDS, EPOCHS, ROWS = 6, 3, 8, 1_024
DOSES = (0.2, 0.4, 0.6, 0.8, 1.0)
COST = 0.02  # of accuracy
# The most important first, for a run that is cut short. Left out: what costs operations alone or needs 24 layers.
NAMES = ("no_attention_skip", "hot_attention", "no_positions", "tiny_positions", "no_skips_small_gain",
         "position_erased", "sink_bias", "no_queries", "no_norm_gain_two", "position_flood", "massive_bias", "dead_top",
         "copied_layers", "label_noise")  # fmt: skip


def trained_accuracy(name: str, subject: plants.Subject, seed: int) -> float:
    """On the held-out part, of the stack trained with its plant kept in it."""
    module = subject.module
    if name in ("no_positions", "tiny_positions"):
        module.places.requires_grad_(False)
    if name == "no_queries":
        for layer in module.layers:
            layer.query.requires_grad_(False)
    plants.train(module, plants.task("negation", "train", ROWS, seed), EPOCHS, seed, enough=0.02)
    return accuracy(module, plants.task("negation", "test", 224, seed))


def accuracy(module: nn.Module, batch: Batch) -> float:
    with torch.no_grad():
        said = module(batch.inputs, batch.mask).argmax(1)
    return float((said == batch.labels).double().mean())


def one(name: str, dose: float, seed: int) -> dict[str, Any]:
    """A verdict and an accuracy; `pre` norms, since post-norm stacks are the harder to train."""
    subject = plants.PLANTS[name].build(dose, DEPTH, "pre", seed)
    try:
        data = examine(subject.module, subject.batches, weights=subject.weights, held_out=subject.held_out, seed=seed)
        states = {verdict: data.to_dict()["verdicts"][verdict]["state"] for verdict in plants.PLANTS[name].target}
    except Exception as error:
        states = {"error": str(error)}
    if name == "label_noise":  # is trained already
        score = accuracy(subject.module, plants.task("negation", "test", 224, seed))
    else:
        score = trained_accuracy(name, subject, seed)
    return {"plant": name, "dose": dose, "seed": seed, "states": states, "accuracy": round(score, 4)}


def grid(cache: Path) -> dict[str, Any]:
    """All doses of all plants, one line each in `cache`, summed up."""
    cache.parent.mkdir(parents=True, exist_ok=True)
    rows = [json.loads(line) for line in cache.read_text().splitlines()] if cache.exists() else []
    done = {(row["plant"], row["dose"], row["seed"]) for row in rows}
    jobs = [(NAMES[0], 0.0, seed) for seed in range(SEEDS)]  # the healthy twin of all
    jobs += [(name, dose, seed) for name in NAMES for dose in DOSES for seed in range(SEEDS)]
    left, start = [job for job in jobs if job not in done], time.monotonic()
    with cache.open("a") as file:
        for number, job in enumerate(left, 1):
            rows.append(one(*job))
            file.write(json.dumps(rows[-1]) + "\n")
            file.flush()
            if number % 15 == 0 or number == len(left):
                minutes = (time.monotonic() - start) / 60 * (len(left) - number) / number
                print(f"{number} of {len(left)}, {job[0]}; {minutes:.0f} minutes left", flush=True)
    return summary(rows)


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Of each plant: by dose, in how many seeds its target holds, and the mean accuracy."""
    groups: dict[tuple[str, float], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[row["plant"], row["dose"]].append(row)
    healthy = groups.pop((NAMES[0], 0.0))
    base = sum(row["accuracy"] for row in healthy) / len(healthy)
    data: dict[str, Any] = {"healthy": round(base, 4), "plants": {}}
    for name in dict.fromkeys(name for name, _ in groups):
        found = {dose: group for (plant, dose), group in sorted(groups.items()) if plant == name}
        held = {dose: sum(all(state == "HOLDS" for state in row["states"].values()) for row in group)
                for dose, group in found.items()}  # fmt: skip
        scores = {dose: round(sum(row["accuracy"] for row in group) / len(group), 4) for dose, group in found.items()}
        data["plants"][name] = {
            "target": list(plants.PLANTS[name].target), "held": held, "accuracy": scores,
            "verdict_from": next((dose for dose in found if held[dose] > len(found[dose]) / 2), None),
            "cost_from": next((dose for dose in found if scores[dose] < base - COST), None),
        }  # fmt: skip
    return data


def table(data: dict[str, Any]) -> str:
    shown = " | ".join(f"{dose:g}" for dose in DOSES)
    lines = [f"healthy: {100 * data['healthy']:.1f} % held out", "",
             f"| plant | verdict from dose | costs 2 points from dose | accuracy at {shown} |",
             "|---" * (3 + len(DOSES)) + "|"]  # fmt: skip
    for name, one in data["plants"].items():
        scores = " | ".join(f"{100 * score:.1f}" for score in one["accuracy"].values())
        start = " | ".join("-" if one[key] is None else f"{one[key]:g}" for key in ("verdict_from", "cost_from"))
        lines.append(f"| {name} | {start} | {scores} |")
    return "\n".join(lines)
