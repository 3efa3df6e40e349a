"""A server in a process of its own, as users start it, and what is sent to it by the byte."""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx


class Server:
    def __init__(self, process: subprocess.Popen, log: Path, port: int):
        self.process, self.log, self.port = process, log, port
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60)

    def said(self) -> str:
        return self.log.read_text("utf-8")

    def predict(self, *texts: str, **more) -> httpx.Response:
        return self.client.post("/v1/predict", json={"texts": list(texts), **more})

    def raw(self, content: bytes, seconds: float = 20.0) -> bytes:
        """The answer to that, whether or not it is a request."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=seconds) as one:
            with suppress(BrokenPipeError, ConnectionResetError):  # it answered before all was read
                one.sendall(content)
            return received(one)

    def stop(self, kind: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(kind)
        return self.process.wait(timeout=60)


def received(one: socket.socket) -> bytes:
    """The answer, or nothing where the connection was closed. Raises TimeoutError where neither came."""
    found = b""
    with suppress(ConnectionResetError):
        while part := one.recv(65_536):
            found += part
            head, ended, body = found.partition(b"\r\n\r\n")
            size = re.search(rb"content-length: (\d+)", head.lower())
            if ended and size and len(body) >= int(size[1]) and b"connection: close" not in head.lower():
                break
    return found


@contextmanager
def serving(model: Path, *options: object, files: int | None = None, **environment: str) -> Iterator[Server]:
    """`files` is how many the process may have open."""
    command = [sys.executable, "-m", "scriptchain", "serve", str(model), "--port", "0", *map(str, options)]
    if files is not None:
        command = ["bash", "-c", f'ulimit -n {files}; exec "$@"', "bash", *command]
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with log.open("w") as file:
            process = subprocess.Popen(command, stderr=file, stdout=file, env={**os.environ, **environment})
        try:
            deadline = time.monotonic() + 60
            while not (found := re.search(r"at http://\S+:(\d+)\n", log.read_text("utf-8"))):
                assert process.poll() is None, log.read_text("utf-8")
                assert time.monotonic() < deadline
                time.sleep(0.05)
            server = Server(process, log, int(found[1]))
            with server.client:
                while server.client.get("/readyz").status_code != 200:
                    time.sleep(0.05)
                yield server
        finally:
            process.kill()
            process.wait()


def posted(body: bytes, path: str = "/v1/predict", headers: bytes = b"content-type: application/json\r\n") -> bytes:
    """A whole request, with its length."""
    return b"POST %s HTTP/1.1\r\nhost: localhost\r\n%scontent-length: %d\r\n\r\n%s" % (
        path.encode(), headers, len(body), body
    )  # fmt: skip


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0
