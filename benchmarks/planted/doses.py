"""How early is a verdict? The dose from which it holds, beside the dose from which the plant costs accuracy.

The verdict is taken of the stack as it starts (of `label_noise` after training); the accuracy is that of a stack
trained with the plant in it, on texts it never saw. The task is to name the kind of the word that stands behind the
marker, among words of all kinds: places and words must meet in a sharp look.
"""

import json
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import plants
import torch
from torch import nn

from scriptchain.lab import Batch, examine

SEEDS, EPOCHS, ROWS, HELD_OUT = 3, 10, 1_536, 1_000
WORDS, KINDS, MARKER = 16, 4, 1
DOSES = (0.2, 0.4, 0.6, 0.8, 1.0)
COST = 0.02  # of accuracy
# Left out: what costs operations or memory alone, and `blind_to_order`, which is `no_positions` after training.
NAMES = ("no_attention_skip", "hot_attention", "no_positions", "tiny_positions", "no_skips_small_gain",
         "position_erased", "sink_bias", "no_queries", "no_norm_gain_two", "position_flood", "massive_bias", "dead_top",
         "copied_layers", "padding_leak", "label_noise", "deep_post_norm")  # fmt: skip
OWN_TWIN = ("label_noise", "deep_post_norm")  # another task, another depth


def depth(name: str) -> int:
    return 24 if name == "deep_post_norm" else 6


def behind_the_marker(rows: int, seed: int) -> Batch:
    """Texts of 6 to 10 words, the marker among them."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(6, 11, (rows, 1), generator=generator)
    mask = torch.arange(plants.LONGEST) < lengths
    ids = torch.randint(MARKER + 1, MARKER + 1 + WORDS, mask.shape, generator=generator)
    at = (torch.rand(rows, 1, generator=generator) * (lengths - 1)).long()
    labels = ids.gather(1, at + 1)[:, 0] % KINDS
    ids.scatter_(1, at, MARKER)
    return Batch(ids.masked_fill(~mask, plants.PAD), mask, labels)


def trained_accuracy(name: str, subject: plants.Subject, seed: int) -> float:
    """On held-out texts, of the stack trained with its plant kept in it."""
    module = subject.module
    if name in ("no_positions", "tiny_positions"):
        module.places.requires_grad_(False)
    if name == "no_queries":
        for layer in module.layers:
            layer.query.requires_grad_(False)
    plants.train(module, behind_the_marker(ROWS, seed), EPOCHS, seed, enough=0.02)
    return accuracy(module, behind_the_marker(HELD_OUT, 1_000 + seed))


def accuracy(module: nn.Module, batch: Batch) -> float:
    with torch.no_grad():
        said = module(batch.inputs, batch.mask).argmax(1)
    return float((said == batch.labels).double().mean())


def one(name: str, norm: str, dose: float, seed: int) -> dict[str, Any]:
    """A verdict and an accuracy."""
    subject = plants.PLANTS[name].build(dose, depth(name), norm, seed)
    try:
        data = examine(subject.module, subject.batches, weights=subject.weights, held_out=subject.held_out, seed=seed)
        states = {verdict: data.to_dict()["verdicts"][verdict]["state"] for verdict in plants.PLANTS[name].target}
    except Exception as error:
        states = {"error": str(error)}
    if name == "label_noise":  # is trained already
        score = accuracy(subject.module, plants.task("negation", "test", 224, seed))
    else:
        score = trained_accuracy(name, subject, seed)
    return {"plant": name, "norm": norm, "dose": dose, "seed": seed, "states": states, "accuracy": round(score, 4)}


def jobs() -> Iterator[tuple[str, str, float, int]]:
    for name in NAMES:
        doses = (0.0, *DOSES) if name in (NAMES[0], *OWN_TWIN) else DOSES  # the first one's twin is that of all
        yield from ((name, norm, dose, seed)
                    for norm in plants.PLANTS[name].norms for dose in doses for seed in range(SEEDS))  # fmt: skip


def grid(cache: Path) -> dict[str, Any]:
    """All doses of all plants, one line each in `cache`, summed up."""
    cache.parent.mkdir(parents=True, exist_ok=True)
    rows = [json.loads(line) for line in cache.read_text().splitlines()] if cache.exists() else []
    done = {(row["plant"], row["norm"], row["dose"], row["seed"]) for row in rows}
    left, start = [job for job in jobs() if job not in done], time.monotonic()
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
    """Of each plant under each norm: by dose, in how many seeds its targets hold, and the mean accuracy."""
    groups: dict[tuple[str, str], dict[float, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        groups[row["plant"], row["norm"]][row["dose"]].append(row)
    data: dict[str, Any] = {}
    for (name, norm), found in groups.items():
        twin = found.get(0.0) or groups[NAMES[0], norm][0.0]
        healthy = sum(row["accuracy"] for row in twin) / len(twin)
        doses = sorted(dose for dose in found if dose)
        held = {dose: sum(all(state == "HOLDS" for state in row["states"].values()) for row in found[dose])
                for dose in doses}  # fmt: skip
        scores = {dose: round(sum(row["accuracy"] for row in found[dose]) / len(found[dose]), 4) for dose in doses}
        data[f"{name}, {norm}"] = {
            "target": list(plants.PLANTS[name].target), "healthy": round(healthy, 4), "held": held, "accuracy": scores,
            "verdict_from": next((dose for dose in doses if held[dose] > len(found[dose]) / 2), None),
            "cost_from": next((dose for dose in doses if scores[dose] < healthy - COST), None),
        }  # fmt: skip
    return data


def table(data: dict[str, Any]) -> str:
    shown = " | ".join(f"{dose:g}" for dose in DOSES)
    lines = [f"| plant, norm | verdict from dose | costs 2 points from dose | accuracy at 0 | {shown} |",
             "|---" * (4 + len(DOSES)) + "|"]  # fmt: skip
    for name, one in data.items():
        scores = " | ".join(f"{100 * score:.1f}" for score in (one["healthy"], *one["accuracy"].values()))
        start = " | ".join("-" if one[key] is None else f"{one[key]:g}" for key in ("verdict_from", "cost_from"))
        lines.append(f"| {name} | {start} | {scores} |")
    return "\n".join(lines)
