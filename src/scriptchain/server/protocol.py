"""uvicorn's connection with what it lacks: bounds on headers, refusals of our own shape, and cheap ones in a crowd.

A connection that has not brought a whole request's headers in time is closed, so that silent and slow ones cannot
hold places that others need. What can be refused by its headers alone is, before a task is made for it: refusing
must cost a small part of answering, or a crowd that is refused leaves no time for those that are not.
"""

import asyncio
import secrets
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from .guard import Refused

FULL = Refused(503, "connections", "too many connections are open", {"retry-after": "1", "connection": "close"})
SLOW = Refused(408, "headers", "the headers must come in time", {"connection": "close"})
LONG = Refused(431, "headers", "the headers are too large", {"connection": "close"})
WRONG = Refused(400, "http", "the request must be HTTP/1.1", {"connection": "close"})


class Connection(HttpToolsProtocol):
    """One client; the deadline runs whenever no request is being answered.

    The server sets for all of them: `seconds` and `room` in bytes that a request's headers may take, `turned_away`,
    which says of a request's scope why it is refused now, if it is, and `observe`, which hears of every refusal.
    """

    seconds = 10.0
    room = 16_384
    turned_away: Callable[[dict[str, Any]], Refused | None] = staticmethod(lambda scope: None)
    observe: Callable[[str, int, float], None] = staticmethod(lambda path, status, seconds: None)
    deadline: asyncio.TimerHandle | None = None
    head: int | None = None  # of headers that have not ended, bytes that came behind the read that they began in
    read = 0  # bytes of this read

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._go_on()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self.read = len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self.head is not None:
            self.head += self.read
            if self.head > self.room:
                self._refuse(LONG)
                return
        if self.cycle is not None and not self.cycle.response_complete:
            self._go_on()
        elif self.deadline is None:
            self._wait()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.head = -self.read

    def on_headers_complete(self) -> None:
        self.head = None
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        self._refuse(WRONG)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        start = time.perf_counter()
        refused = self.turned_away(cycle.scope) if app is self.app else FULL  # pyright: ignore[reportArgumentType]
        if refused is None:
            super()._start_asgi_task(cycle, app)
            return
        # Whose body waits for a word may send it or not: no telling where its next request would begin.
        self._refuse(refused, cycle.keep_alive and not cycle.waiting_for_100_continue)
        cycle.response_complete = True  # what else comes of its body is read and forgotten
        self.observe(cycle.scope["path"], refused.status, time.perf_counter() - start)
        if not self.transport.is_closing():
            self.on_response_complete()

    def _refuse(self, refused: Refused, keep_alive: bool = False) -> None:
        request_id = secrets.token_hex(8)
        body = refused.document(request_id)
        headers = {"content-type": "application/json", "content-length": len(body), "x-request-id": request_id,
                   **refused.headers}  # fmt: skip
        if not keep_alive:
            headers["connection"] = "close"
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        status = f"{refused.status} {HTTPStatus(refused.status).phrase}"
        self.transport.write(f"HTTP/1.1 {status}\r\n{lines}\r\n".encode() + body)
        if headers.get("connection") == "close":
            self.transport.close()

    def _wait(self) -> None:
        self.deadline = self.loop.call_later(self.seconds, self._late)

    def _go_on(self) -> None:
        if self.deadline is not None:
            self.deadline.cancel()
            self.deadline = None

    def _late(self) -> None:
        self.deadline = None
        if self.cycle is not None and not self.cycle.response_complete:
            return
        if self.head is not None:  # a request had begun
            self._refuse(SLOW)
        self.transport.close()
