"""uvicorn's connection with what it lacks: a deadline for headers, and refusals of our own shape.

A connection that has not brought a whole request's headers in time is closed, so that silent and slow ones cannot
hold places that others need.
"""

import asyncio
import secrets
import sys
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from .guard import Refused

SAID = {400: "the request must be HTTP/1.1", 414: "the address is too long", 431: "the headers are too large"}


class Connection(H11Protocol):
    """One client; the deadline runs whenever no request is being answered."""

    seconds = 10.0  # for the headers of a request; the server's own limit is set when it starts
    deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._go_on()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._go_on()
        elif self.deadline is None and not self.transport.is_closing():
            self._wait()

    def send_400_response(self, msg: str) -> None:
        error = sys.exc_info()[1]
        status = getattr(error, "error_status_hint", 400)
        refused = Refused(status if status in SAID else 400, "http", SAID.get(status, SAID[400]))
        body = refused.document(secrets.token_hex(8))
        headers = [("content-type", "application/json"), ("content-length", str(len(body))), ("connection", "close")]
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.write(self.conn.send(h11.Response(status_code=refused.status, headers=headers)) or b"")
            self.transport.write(self.conn.send(h11.Data(data=body)) or b"")
            self.conn.send(h11.EndOfMessage())
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
        if self.conn.trailing_data[0] or self.conn.their_state is not h11.IDLE:  # a request had begun
            self.transport.write(b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
        self.transport.close()
