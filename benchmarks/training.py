"""Tokens a second in training: ours beside the study's loop, on a CPU or a GPU.

usage: python benchmarks/training.py TEXTS.csv [--device cuda] [--rows 2000] [--rounds 5] [--batches 32,512]
One epoch of `seed` with dropout 0.2 at max_seq_len 15 and 64, in turn with the study's `nn.TransformerEncoder`, with
everything padded; tokens that are no padding a second of CPU time, or of wall time on a GPU, medians.
"""

import argparse
import statistics
import time
from functools import partial
from typing import Any

import numpy as np
import torch
from machine import machine
from study import Study
from torch import nn

from scriptchain import config
from scriptchain.data.labels import Labels
from scriptchain.data.records import read
from scriptchain.data.tokenizer import Tokenizer
from scriptchain.model.pipeline import Network
from scriptchain.training.loop import Examples, fit
from scriptchain.training.seed import seeded

OURS: dict[str, dict[str, Any]] = {
    "as the preset": {},
    "sorted by length": {"sort_by_length": True},
    "sorted, as many tokens": {"sort_by_length": True, "by_tokens": True},
    "sorted, bf16": {"sort_by_length": True, "precision": "bf16"},
    "sorted, batch x 4": {"sort_by_length": True, "times": 4},
    "sorted, batch x 4, bf16": {"sort_by_length": True, "times": 4, "precision": "bf16"},
    "sorted, batch x 8": {"sort_by_length": True, "times": 8},
    "sorted, batch x 8, bf16": {"sort_by_length": True, "times": 8, "precision": "bf16"},
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rows", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batches", default="32")

    told = parser.parse_args()
    name = torch.cuda.get_device_name() if told.device == "cuda" else "the CPU"
    print(f"{machine()}; on {name}", flush=True)
    torch.set_num_threads(1)
    records = read(told.file)
    texts, names = records.texts[: told.rows], (records.labels or [])[: told.rows]
    labels = Labels.from_names(names)
    classes, wanted = len(labels), labels.index(names)
    for length in (15, 64):
        made = config.resolve("seed", overrides={"max_seq_len": length})
        kinds = {key: getattr(made, key) for key in ("vocab_size", "min_frequency", "lowercase", "max_seq_len")}
        tokenizer = Tokenizer.train(texts, kind=made.tokenizer, **kinds)
        ids = tokenizer.encode(texts).ids
        examples = Examples(ids, wanted, np.ones(len(ids), np.float32))
        tokens = sum(map(len, ids))
        for batch in map(int, told.batches.split(",")):
            ways = {"study": partial(study, ids, wanted, classes, tokenizer.vocab_size, length, batch, told.device)}
            for name, keys in OURS.items():
                changed = {**keys, "batch_size": batch * keys.get("times", 1)}
                changed.pop("times", None)
                if changed.pop("by_tokens", False):
                    changed["batch_tokens"] = batch * tokens // len(ids)
                ways[name] = partial(ours, examples, classes, tokenizer.vocab_size, length, told.device, changed)
            found: dict[str, list[float]] = {way: [] for way in ways}
            for _ in range(told.rounds):
                for way, run in ways.items():
                    found[way].append(tokens / run())
            base = statistics.median(found["study"])
            print(
                f"max_seq_len {length} ({tokens / len(ids) / length:.0%} full), batch {batch}: "
                + ", ".join(
                    f"{way} {statistics.median(one) / 1000:,.0f} k tokens/s ({statistics.median(one) / base:.2f})"
                    for way, one in found.items()
                ),
                flush=True,
            )


def ours(examples: Examples, classes: int, vocabulary: int, length: int, device: str, changed: dict[str, Any]) -> float:
    fixed = {"max_seq_len": length, "epochs": 1, "dropout": 0.2, "patience": 0}
    made = config.resolve("seed", overrides=fixed | changed)
    with seeded(0):
        network = Network(made, vocabulary, classes)
        start = clock(device)
        fit(network, examples, made, device=device)
        return clock(device) - start


def clock(device: str) -> float:
    return time.process_time() if device == "cpu" else time.perf_counter()


def study(
    ids: list[np.ndarray], labels: np.ndarray, classes: int, vocabulary: int, length: int, batch: int, device: str
) -> float:
    torch.manual_seed(0)
    model = Study(vocabulary)
    model.positions = nn.Parameter(torch.randn(length, model.positions.shape[1]) * 0.01)
    model.head[-1] = nn.Linear(128, classes)
    model.to(device).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    padded = torch.zeros(len(ids), length, dtype=torch.long)
    for row, one in zip(padded, ids, strict=True):
        row[: len(one)] = torch.from_numpy(one)
    padded, wanted = padded.to(device), torch.from_numpy(labels).to(device)
    start = clock(device)
    for rows in torch.randperm(len(ids)).to(device).split(batch):
        loss = nn.functional.cross_entropy(model(padded[rows]), wanted[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()
    return clock(device) - start


if __name__ == "__main__":
    main()
