"""Long texts with a learned bias of distance: time and memory against no bias at all, and against the whole bias.

usage: python benchmarks/biases.py
One thread, 8 heads of width 64. "plain" is the fused kernel without a bias; "gathered" reads a table of 2 L - 1
numbers a head into L x L and gives it to the same kernel, as libraries do; "ours" is `attend` with `Toeplitz(table)`.
Times are medians of CPU seconds, taken in turns in one process. Memory is the greatest resident size of a fresh process
above that before the call, of forward and backward together; "profile" is a bias by rows, each query a mixture of
curves.
"""

import math
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from machine import machine
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from scriptchain.attention import Toeplitz, attend, explain
from scriptchain.positions import Fire, Positions, Profile, Size

HEADS, WIDTH, LENGTHS = 8, 64, (512, 1024, 2048, 4096)
SCALE = WIDTH**-0.5
BUDGET = 4.0  # CPU seconds that the plain call may take of each row of the table
Inputs = tuple[Tensor, Tensor, Tensor, Tensor]


def plain(q: Tensor, k: Tensor, v: Tensor, table: Tensor, p: Positions) -> Tensor:
    mask = None if p.valid.all() else p.valid[:, None, None, :]
    q, k, v = (t.transpose(1, 2) for t in (q, k, v))
    return scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=SCALE).transpose(1, 2)


def gathered(q: Tensor, k: Tensor, v: Tensor, table: Tensor, p: Positions) -> Tensor:
    place = torch.arange(q.shape[1])
    bias = table[:, place - place[:, None] + len(place) - 1]
    if not p.valid.all():
        bias = bias[None].masked_fill(~p.valid[:, None, None, :], -torch.inf)
    else:
        bias = bias[None]
    q, k, v = (t.transpose(1, 2) for t in (q, k, v))
    return scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=SCALE).transpose(1, 2)


def ours(q: Tensor, k: Tensor, v: Tensor, table: Tensor, p: Positions) -> Tensor:
    return attend(q, k, v, p, scale=SCALE, bias=Toeplitz(table))


def profile(q: Tensor, k: Tensor, v: Tensor, table: Tensor, p: Positions) -> Tensor:
    """Each query mixes 8 curves of distance."""
    frequency = 2.0 ** -torch.arange(8.0)
    bias = Profile(q[..., :8], lambda delta: (delta * frequency.reshape(1, -1, *[1] * delta.dim())).sin(), p)
    return attend(q, k, v, p, scale=SCALE, bias=bias, backend="blockwise")


def fire(q: Tensor, k: Tensor, v: Tensor, table: Tensor, p: Positions) -> Tensor:
    """A small network of the distance, with parameters of its own."""
    torch.manual_seed(0)
    encoding = Fire(Size(HEADS * WIDTH, HEADS, 1, q.shape[1]))
    return attend(q, k, v, p, scale=SCALE, bias=encoding.bias(q.flatten(-2), q, k, p))


WAYS = {way.__name__: way for way in (plain, gathered, ours, profile, fire)}


def inputs(length: int, texts: int = 1) -> Inputs:
    torch.manual_seed(0)
    q, k, v = (torch.randn(texts, length, HEADS, WIDTH, requires_grad=True) for _ in range(3))
    return q, k, v, torch.randn(HEADS, 2 * length - 1, requires_grad=True)


def full(length: int) -> Positions:
    return Positions.from_mask(torch.ones(1, length))


def halves(length: int) -> Positions:
    """A padded batch of texts of L, L/2, L/4 and L/8 tokens."""
    return Positions.from_lengths(torch.tensor([length >> shift for shift in range(4)]))


def both(way: Callable[..., Tensor], given: Inputs, p: Positions) -> tuple[Tensor, ...]:
    y = way(*given, p)
    return torch.autograd.grad(y.square()[p.valid].sum(), given, allow_unused=True)


def forward(way: Callable[..., Tensor], given: Inputs, p: Positions) -> None:
    with torch.no_grad():
        way(*given, p)


def seconds(run: Callable[..., object], names: list[str], given: Inputs, p: Positions) -> dict[str, float]:
    """Median CPU seconds of each way, in turns."""
    taken: dict[str, list[float]] = {name: [] for name in names}
    rounds = 2
    while len(taken["plain"]) < rounds + 1:
        for name in names:
            start = time.process_time()
            run(WAYS[name], given, p)
            taken[name].append(time.process_time() - start)
        rounds = min(21, max(5, int(BUDGET / taken["plain"][0])))
    return {name: statistics.median(found[1:]) for name, found in taken.items()}  # the first warms the caches


def peak(name: str, length: int) -> float:
    """MiB of forward and backward above what a fresh process held before."""
    done = subprocess.run([sys.executable, __file__, name, str(length)], capture_output=True, text=True, check=True)
    return float(done.stdout)


def measure_peak(name: str, length: int) -> None:
    both(WAYS[name], inputs(64), full(64))
    given, p = inputs(length), full(length)
    before = most_resident()
    both(WAYS[name], given, p)
    print((most_resident() - before) / 1024)


def most_resident() -> int:
    """KiB; getrusage would count what the process was forked from."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0])


def exponent(peaks: dict[int, float]) -> float:
    """The slope of the logarithm of memory over that of the length, from 1024 on."""
    points = [(math.log(length), math.log(found)) for length, found in peaks.items() if length >= 1024]
    return statistics.linear_regression(*zip(*points, strict=True)).slope


def main() -> None:
    torch.set_num_threads(1)
    print(machine())
    print(f"torch.get_float32_matmul_precision() is {torch.get_float32_matmul_precision()!r}\n")
    print("| batch | L | plain ms, forward | ours | gathered | plain ms, both | ours | gathered |")
    print("|---|---|---|---|---|---|---|---|")
    for batch, at in (("one text", full), ("L, L/2, L/4, L/8", halves)):
        for length in LENGTHS:
            p = at(length)
            given, names = inputs(length, len(p.valid)), ["plain", "ours", "gathered"]
            if batch != "one text" and length > 2048:
                names.remove("gathered")  # 2 GiB for each tensor of L x L
            cells = []
            for run in (forward, both):
                found = seconds(run, names, given, p)
                cells += [f"{1000 * found['plain']:.1f}"]
                cells += [f"{found[n] / found['plain']:.2f}" if n in found else "-" for n in ("ours", "gathered")]
            print(f"| {batch} | {length} | {' | '.join(cells)} |", flush=True)
    print("\n| memory, MiB | " + " | ".join(map(str, LENGTHS)) + " | exponent from 1024 |")
    print("|---|" + "---|" * (len(LENGTHS) + 1))
    for name in WAYS:
        peaks = {length: peak(name, length) for length in LENGTHS}
        cells = " | ".join(f"{found:.0f}" for found in peaks.values())
        print(f"| {name} | {cells} | {exponent(peaks):.2f} |", flush=True)
    given, p = inputs(1024), full(1024)
    pairs = zip(both(ours, given, p), both(gathered, given, p), strict=True)
    apart = max(((one - other).abs().max() / other.abs().max()).item() for one, other in pairs)
    print(f"\ngradients at 1024, ours against gathered: at most {apart:.1e} of the greatest")
    q, k, v, table = given
    print("explain:", explain(q, k, v, p, bias=Toeplitz(table)))


if __name__ == "__main__":
    measure_peak(sys.argv[1], int(sys.argv[2])) if len(sys.argv) > 1 else main()
