"""Do orderings of the literature carry over to a small encoder: random coordinates, and PoPE beside RoPE.

usage: python benchmarks/literature.py --output DIR [--device cpu] [--workers 2] [--only TASK]
even_pairs and missing_duplicate as in arXiv 2305.16843: five layers, eight heads, d_model 64, dropout 0.1, batch 128,
rate 1e-3; but 2,000 steps, texts of 6 to 20 words to learn from and of up to 40 to score. indexing as in arXiv
2509.10534, in an encoder of three layers. Accuracy is told for lengths learned from and for those beyond, with a 95 %
t-interval over draws. Every run is kept in DIR and done once.
"""

import argparse
from pathlib import Path

import numpy as np
from kept import compared
from machine import machine
from scipy import stats

from scriptchain import bench
from scriptchain.bench import single
from scriptchain.bench.pool import Run

SETTINGS = ["d_model=64", "num_heads=8", "d_feedforward=256", "dropout=0.1", "token_dropout=0", "token_ngrams=0",
            "label_smoothing=0", "batch_size=128", "epochs=8", "patience=0"]  # fmt: skip
ROWS = 32_000  # eight times: 2,000 steps
SCATTERED = ("sinusoidal", "rope", "learned", "transformer_xl")
TASKS = {  # layers, draws, encodings, the first of which the others stand beside
    "even_pairs": (5, 3, ["none", *SCATTERED, *(f"randomized+{name}" for name in SCATTERED)]),
    "missing_duplicate": (5, 3, ["none", *SCATTERED, *(f"randomized+{name}" for name in SCATTERED)]),
    "indexing": (3, 5, ["rope", "pope"]),
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", choices=list(TASKS))
    told = parser.parse_args()
    print(machine(), flush=True)
    single.one_thread()
    for task, (layers, draws, names) in TASKS.items():
        if told.only in (None, task):
            rows = bench.Rows(task=task, number=ROWS)
            arms = bench.arms_of("small", names, settings=[*SETTINGS, f"num_layers={layers}"])
            plan = bench.Plan(names[0], draws, workers=told.workers, device=told.device)
            _, pool = compared(rows, arms, plan, told.output / task)
            table(task, arms, pool, rows.learned_words or 0)


def table(task: str, arms: list[bench.Arm], pool: bench.Pool, learned: int) -> None:
    print(f"\n| {task} | to {learned} words | beyond | beyond, beside `{arms[0].name}` | beside the same, plain |\n"
          "|---|---|---|---|---|")  # fmt: skip
    found = {arm.name: {unit: accuracies(run, learned) for unit, run in pool.of(arm.id).items()} for arm in arms}
    for name, runs in found.items():
        near, far = np.mean(list(runs.values()), axis=0)
        plain = name.removeprefix("randomized+")
        both = [gain(runs, found[other]) if other != name else "" for other in (arms[0].name, plain)]
        print(f"| `{name}` | {near:.1f} | {far:.1f} | {' | '.join(both)} |", flush=True)


def gain(ours: dict[tuple[int, int], tuple[float, float]], others: dict[tuple[int, int], tuple[float, float]]) -> str:
    """Beyond the lengths learned from, the mean over units and its interval."""
    gains = np.array([far - others[unit][1] for unit, (_, far) in ours.items()])
    low, high = stats.t.interval(0.95, len(gains) - 1, gains.mean(), gains.std(ddof=1) / len(gains) ** 0.5)
    return f"{gains.mean():+.1f} [{low:+.1f}, {high:+.1f}]"


def accuracies(run: Run, learned: int) -> tuple[float, float]:
    """In per cent, of texts no longer than those learned from and of longer ones."""
    words = np.array(run.lengths)
    return 100 * run.correct[words <= learned].mean(), 100 * run.correct[words > learned].mean()


if __name__ == "__main__":
    main()
