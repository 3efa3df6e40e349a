"""The server under load: an open loop, whose requests are sent when they are due, however the last ones went.

usage: python benchmarks/load.py RUN TEXTS.csv [--rate 500] [--seconds 60] [--texts 1] [--connections 128]
Latency counts from when a request was due. The driver is a process of its own on the same cores. Beside the answers
stand the server's CPU time a request and its memory before and after.
"""

import argparse
import asyncio
import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

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
    told = parser.parse_args()
    print(machine(), flush=True)
    texts = read(told.file, labels_required=False).texts
    bodies = [json.dumps({"texts": texts[n : n + told.texts]}).encode() for n in range(0, 2000, told.texts)]
    command = [sys.executable, "-m", "scriptchain", "serve", told.run, "--port", "0"]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert server.stderr is not None
    found = re.search(r":(\d+)\n", server.stderr.readline())
    assert found is not None
    try:
        asyncio.run(_load(int(found[1]), bodies, 50, 3.0, 8))  # warm
        before = _memory(server.pid), _cpu(server.pid)
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
        f"memory {before[0]:.0f} to {memory:.0f} MB",
        flush=True,
    )


async def _load(
    port: int, bodies: list[bytes], rate: float, seconds: float, connections: int
) -> tuple[list[float], Counter[int]]:
    start = time.perf_counter() + 0.2
    due: asyncio.Queue[tuple[float, bytes] | None] = asyncio.Queue()
    latencies: list[float] = []
    statuses: Counter[int] = Counter()

    async def connection() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while (one := await due.get()) is not None:
            when, body = one
            try:
                writer.write(b"POST /v1/predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
                             b"content-length: %d\r\n\r\n%s" % (len(body), body))  # fmt: skip
                head = await reader.readuntil(b"\r\n\r\n")
                size = re.search(rb"content-length: (\d+)", head)
                await reader.readexactly(int(size[1]) if size else 0)
                status = int(head.split(b" ", 2)[1])
            except (OSError, asyncio.IncompleteReadError):
                status = 0
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            statuses[status] += 1
            if status == 200:
                latencies.append(time.perf_counter() - when)
        writer.close()

    tasks = [asyncio.create_task(connection()) for _ in range(connections)]
    for number in range(int(rate * seconds)):
        when = start + number / rate
        while (wait := when - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        due.put_nowait((when, bodies[number % len(bodies)]))
    for _ in tasks:
        due.put_nowait(None)
    await asyncio.gather(*tasks)
    return latencies, statuses


def _memory(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
