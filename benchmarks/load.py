"""The server under load: an open loop, whose requests are sent when they are due, however the last ones went.

usage: python benchmarks/load.py RUN TEXTS.csv [--rate 500] [--seconds 60] [--texts 1] [--connections 128] [--apart]
Latency counts from when a request was due. The driver is a process of its own on the same cores, or with --apart on one
and the server on another, so that a driver with more to do leaves the server what it had. Beside the answers
stand the server's CPU time a request, and its memory and open files ten times on the way.
"""

import argparse
import asyncio
import json
import os
import re
import subprocess
import sys
import time
from collections import Counter, deque
from pathlib import Path
from threading import Thread

import numpy as np
from machine import machine

from scriptchain.data.records import read


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("run")
    parser.add_argument("file")
    parser.add_argument("--rate", type=float, default=500)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--texts", type=int, default=1)
    parser.add_argument("--connections", type=int, default=128)
    parser.add_argument("--apart", action="store_true")
    told = parser.parse_args()
    print(machine(), flush=True)
    texts = read(told.file, labels_required=False).texts
    bodies = [json.dumps({"texts": texts[n : n + told.texts]}).encode() for n in range(0, 2000, told.texts)]
    command = [sys.executable, "-m", "scriptchain", "serve", told.run, "--port", "0"]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    if told.apart:
        one, other, *_ = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(server.pid, {one})
        os.sched_setaffinity(0, {other})
    assert server.stderr is not None
    found = re.search(r":(\d+)\n", server.stderr.readline())
    assert found is not None
    try:
        asyncio.run(_load(int(found[1]), bodies, 50, 3.0, 8))  # warm
        before = _memory(server.pid), _cpu(server.pid)
        on_the_way: list[tuple[float, int]] = []
        samples = Thread(target=_watch, args=(server.pid, told.seconds / 10, on_the_way), daemon=True)
        samples.start()
        latencies, statuses = asyncio.run(_load(int(found[1]), bodies, told.rate, told.seconds, told.connections))
        memory, cpu = _memory(server.pid), _cpu(server.pid)
    finally:
        server.terminate()
        server.wait()
    good = sum(count for status, count in statuses.items() if status == 200)
    p50, p99, p999 = 1000 * np.quantile(latencies, [0.5, 0.99, 0.999])
    print(
        f"{told.rate:g} req/s of {told.texts} texts for {told.seconds:g} s: {good / told.seconds:.0f} answered a s,"
        f" statuses {dict(statuses)}, of those with 200 p50 {p50:.1f} ms, p99 {p99:.1f} ms, p99.9 {p999:.1f} ms; "
        f"server {1000 * (cpu - before[1]) / max(1, sum(statuses.values())):.2f} CPU ms a request, "
        f"memory {before[0]:.0f} to {memory:.0f} MB, on the way {', '.join(f'{one:.1f}' for one, _ in on_the_way)} MB; "
        f"open files {', '.join(str(files) for _, files in on_the_way)}",
        flush=True,
    )


class _Connection(asyncio.Protocol):
    """One request at a time; a protocol and not streams, whose cost would be taken from the server's cores."""

    def __init__(self, load: "_Load"):
        self.load, self.found, self.when = load, b"", None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.load.idle.append(self)
        self.load.send()

    def ask(self, when: float, request: bytes) -> None:
        self.when, self.found = when, b""
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self.found += data
        end = self.found.find(b"\r\n\r\n")
        if end < 0:
            return
        start = self.found.index(b"content-length: ") + 16
        if len(self.found) - end - 4 < int(self.found[start : self.found.index(b"\r", start)]):
            return
        self.load.answered(int(self.found[9:12]), self.when)
        self.when = None
        self.load.idle.append(self)
        self.load.send()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.when is not None:
            self.load.answered(0, self.when)
        self.load.lost(self)


class _Load:
    def __init__(self, port: int, bodies: list[bytes], rate: float, seconds: float):
        self.requests = [
            b"POST /v1/predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
            b"content-length: %d\r\n\r\n%s" % (len(body), body)
            for body in bodies
        ]
        self.port, self.rate, self.number = port, rate, int(rate * seconds)
        self.idle: deque[_Connection] = deque()  # the longest idle first: none is closed for its silence
        self.waiting: deque[tuple[float, bytes]] = deque()
        self.latencies: list[float] = []
        self.statuses: Counter[int] = Counter()
        self.ended = asyncio.Event()
        self.opening: set[asyncio.Task] = set()

    async def run(self, connections: int) -> tuple[list[float], Counter[int]]:
        await asyncio.gather(*(self._open() for _ in range(connections)))
        start = time.perf_counter()
        for number in range(self.number):
            when = start + number / self.rate
            while (wait := when - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            if not number % 32:  # behind its time, it still has to hear answers
                await asyncio.sleep(0)
            self.waiting.append((when, self.requests[number % len(self.requests)]))
            self.send()
        await self.ended.wait()
        return self.latencies, self.statuses

    async def _open(self) -> None:
        await asyncio.get_running_loop().create_connection(lambda: _Connection(self), "127.0.0.1", self.port)

    def send(self) -> None:
        while self.idle and self.waiting:
            self.idle.popleft().ask(*self.waiting.popleft())

    def answered(self, status: int, when: float) -> None:
        self.statuses[status] += 1
        if status == 200:
            self.latencies.append(time.perf_counter() - when)
        if self.statuses.total() == self.number:
            self.ended.set()

    def lost(self, one: _Connection) -> None:
        if one in self.idle:
            self.idle.remove(one)
        if not self.ended.is_set():
            task = asyncio.get_running_loop().create_task(self._open())
            self.opening.add(task)
            task.add_done_callback(self.opening.discard)


async def _load(
    port: int, bodies: list[bytes], rate: float, seconds: float, connections: int
) -> tuple[list[float], Counter[int]]:
    return await _Load(port, bodies, rate, seconds).run(connections)


def _watch(pid: int, seconds: float, found: list[tuple[float, int]]) -> None:
    for _ in range(10):
        time.sleep(seconds)
        found.append((_memory(pid), len(os.listdir(f"/proc/{pid}/fd"))))


def _memory(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
