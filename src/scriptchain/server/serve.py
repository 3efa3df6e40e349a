"""The process: a socket, a model, signals. SIGHUP loads the model folder anew, SIGINT and SIGTERM end gracefully."""

import asyncio
import gc
import ipaddress
import logging
import resource
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
import uvicorn
import uvloop

from ..errors import ResourceError, ScriptChainError, UsageError
from ..report import Stream
from .app import Service, create_app
from .limits import Limits
from .model import Model
from .protocol import Connection

OWN = 32  # files that the process has open for itself
NAMES = ("localhost", "127.0.0.1", "::1")


class _Server(uvicorn.Server):
    """Ends with exit code 0 when it was asked to end, and hears SIGHUP."""

    reload: "asyncio.Event"

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        kinds = (signal.SIGINT, signal.SIGTERM)
        for kind in kinds:
            loop.add_signal_handler(kind, self.handle_exit, kind, None)
        loop.add_signal_handler(signal.SIGHUP, self.reload.set)
        try:
            yield
        finally:
            for kind in (*kinds, signal.SIGHUP):
                loop.remove_signal_handler(kind)


def serve(
    folder: Path, *, host: str = "127.0.0.1", port: int = 8000, keys: Sequence[str] = (), hosts: Sequence[str] = (),
    insecure: bool = False, threads: int | None = None, limits: Limits | None = None, stream: Stream | None = None,
) -> None:  # fmt: skip
    """Serves until it is told to end. `keys` are who may ask, `hosts` the names that it may be asked by.

    *Raises*: UsageError for an address that others can reach without a key; ModelError for a folder that is no model;
    ResourceError where the address cannot be had.
    """
    limits = limits or Limits()
    if not keys and not insecure and not _is_own(host):
        raise UsageError(f"--host {host} must come with --key-file: others can reach it",
                         hint="--key-file FILE, or --insecure")  # fmt: skip
    room = _room(limits.connections)
    if room < limits.connections:
        limits = msgspec.structs.replace(limits, connections=room)
        _say(stream, f"{room} connections at once: the system's limit of open files allows no more\n")
    with _bound(host, port, limits.connections) as bound:
        model = Model.load(folder, threads)
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # what goes wrong is told by us
        gc.collect()
        # All that is there by now stays, and what a crowd of requests makes ends without help: looking through it again
        # and again took a fifth of a busy server.
        gc.freeze()
        gc.set_threshold(10_000, 20, 20)
        # The thread that answers waits for the event loop's to let it in: 5 ms by default, longer than a batch takes.
        sys.setswitchinterval(0.0005)
        uvloop.run(_run(model, bound, limits, keys, [*NAMES, host, *hosts], threads, stream))


async def _run(
    model: Model, bound: socket.socket, limits: Limits, keys: Sequence[str], hosts: Sequence[str], threads: int | None,
    stream: Stream | None,
) -> None:  # fmt: skip
    server: _Server | None = None
    app = create_app(model, limits, keys, hosts, lambda: server is not None and server.should_exit)
    server = _Server(
        uvicorn.Config(
            app, http=Connection, ws="none", log_config=None, access_log=False, server_header=False,
            proxy_headers=False,  # or whoever asks could say that they are another
            limit_concurrency=limits.connections, timeout_graceful_shutdown=max(1, round(limits.drain)), lifespan="on",
        )
    )  # fmt: skip
    server.reload = asyncio.Event()
    service: Service = app.state.service
    Connection.seconds, Connection.room = limits.header_seconds, limits.headers
    Connection.turned_away, Connection.observe = service.turned_away, service.metrics.observe  # pyright: ignore
    watching = asyncio.get_running_loop().create_task(_reloads(server, service, threads, stream))
    name, port = bound.getsockname()[:2]
    _say(stream, f"serving {model.folder} ({model.id}) at http://{f'[{name}]' if ':' in name else name}:{port}\n")
    await server.serve(sockets=[bound])
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching
    _say(stream, "stopped\n")


async def _reloads(server: _Server, service: Service, threads: int | None, stream: Stream | None) -> None:
    """A model that cannot be loaded changes nothing: the old one goes on."""
    while True:
        await server.reload.wait()
        server.reload.clear()
        try:
            service.take(await asyncio.to_thread(Model.load, service.model.folder, threads))
            _say(stream, f"reloaded: {service.model.id}\n")
        except (ScriptChainError, OSError) as error:
            _say(stream, f"not reloaded, {service.model.id} goes on: {error}\n")


def _room(connections: int) -> int:
    """How many connections there is room for; the limit of open files is raised as far as it may be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + OWN
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return connections if soft == resource.RLIM_INFINITY else max(1, min(connections, soft - OWN))


def _say(stream: Stream | None, line: str) -> None:
    if stream is not None:
        stream.write(line)
        stream.flush()


def _is_own(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@contextmanager
def _bound(host: str, port: int, backlog: int) -> Iterator[socket.socket]:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ResourceError(f"--host {host!r} must be an address of this machine ({error.strerror})") from None
    with bound:
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
            bound.listen(backlog)
        except OSError as error:
            raise ResourceError(
                f"{host} port {port} must be free ({error.strerror})", hint="--port 0 takes any"
            ) from None
        yield bound
