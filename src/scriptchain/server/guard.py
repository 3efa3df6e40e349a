"""What stands before every route: names, keys, sizes and kinds are judged before a body is read.

Every refusal is the same small document, `{"error": {"code", "message", "request_id"}}`, and never holds what was sent.
"""

import base64
import hmac
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import msgspec

from .limits import Limits

OPEN = ("/healthz", "/readyz")  # without a key: those who start and stop the process have none
ONCE = (b"content-length", b"content-type", b"host", b"origin", b"authorization", b"x-api-key")
CLOSE = {"connection": "close"}
App = Callable[[dict[str, Any], Any, Any], Awaitable[None]]
Observe = Callable[[str, int, float], None]


class Refused(Exception):  # noqa: N818 - an answer, not a fault
    """A request that gets no answer but this one."""

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None):
        self.status, self.code, self.message, self.headers = status, code, message, headers or {}
        super().__init__(message)

    def document(self, request_id: str) -> bytes:
        return msgspec.json.encode({"error": {"code": self.code, "message": self.message, "request_id": request_id}})


class Guard:
    """An ASGI application around another."""

    def __init__(self, app: App, door: "Door", observe: Observe):
        self.app, self.door, self.observe = app, door, observe

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id, start = secrets.token_hex(8), time.perf_counter()
        status = 500
        scope["state"] = {**scope.get("state", {}), "request_id": request_id}

        async def sending(message: dict[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = message | {"headers": [*message.get("headers", []), (b"x-request-id", request_id.encode())]}
            await send(message)

        try:
            scope["state"]["client"] = self.door.client(scope)
            await self.app(scope, receive, sending)
        except Refused as refused:
            await _answer(refused, request_id, sending)
        finally:
            self.observe(scope["path"], status, time.perf_counter() - start)


class Door:
    """Who may ask, judged by the headers. `keys` empty means everyone."""

    def __init__(self, limits: Limits, keys: Sequence[str], hosts: Sequence[str]):
        self.limits = limits
        self.keys = [key.encode() for key in keys]
        self.hosts = frozenset(host.lower() for host in hosts)

    def client(self, scope: Mapping[str, Any]) -> str:
        """Who asks: a number of their key, or their address. Raises Refused."""
        address = len(scope["raw_path"]) + len(scope["query_string"])
        if address > self.limits.headers:
            raise Refused(414, "address", "the address is too long", CLOSE)
        size = address + sum(len(name) + len(value) + 4 for name, value in scope["headers"])
        if len(scope["headers"]) > self.limits.header_lines or size > self.limits.headers:
            raise Refused(431, "headers", f"a request may have {self.limits.header_lines} headers of "
                          f"{self.limits.headers:,} bytes together", CLOSE)  # fmt: skip
        headers: dict[bytes, bytes] = {}
        for name, value in scope["headers"]:
            if name in ONCE and name in headers:
                raise Refused(400, "bad_request", "a header stands twice", CLOSE)
            headers[name] = value
        if b"content-length" in headers and b"transfer-encoding" in headers:
            raise Refused(400, "bad_request", "the length must be said once", CLOSE)
        if _name(headers.get(b"host", b"")) not in self.hosts:
            raise Refused(400, "host", "the Host header must be a name of this server")
        origin = headers.get(b"origin")
        if origin is not None and _name(origin.partition(b"//")[2]) not in self.hosts:
            raise Refused(400, "origin", "the Origin header must be a name of this server")
        return self._known(scope, headers)

    def _known(self, scope: Mapping[str, Any], headers: dict[bytes, bytes]) -> str:
        address = (scope.get("client") or ("?",))[0]
        if not self.keys:
            return address
        given = _given(headers)
        # All are compared, each in constant time: how long it takes tells nothing.
        right = [number for number, key in enumerate(self.keys) if hmac.compare_digest(key, given)]
        if right:
            return f"key {right[0]}"
        if scope["path"] in OPEN:
            return address
        # A browser asks its user for a name and a password: any name, and the key.
        way = "Basic realm=scriptchain" if scope["path"] == "/" else "Bearer"
        raise Refused(401, "key", "a key must come as Authorization: Bearer KEY or X-API-Key: KEY",
                      {"www-authenticate": way})  # fmt: skip


def _given(headers: dict[bytes, bytes]) -> bytes:
    kind, _, token = headers.get(b"authorization", b"").partition(b" ")
    if kind.lower() == b"bearer":
        return token.strip()
    if kind.lower() == b"basic":
        try:
            return base64.b64decode(token, validate=True).partition(b":")[2]
        except ValueError:
            return b""
    return headers.get(b"x-api-key", b"")


def judge_body(headers: Mapping[str, str], limits: Limits) -> None:
    """Raises Refused for a body that is not JSON by its name, or too large by its length."""
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise Refused(415, "encoding", "the body must not be compressed", CLOSE)
    kind, _, rest = headers.get("content-type", "").partition(";")
    charset = rest.strip().lower().replace('"', "")
    if kind.strip().lower() != "application/json" or charset not in ("", "charset=utf-8"):
        raise Refused(415, "content_type", "the body must be application/json", CLOSE)
    if int(headers.get("content-length", "0")) > limits.body:
        raise too_large(limits)


def too_large(limits: Limits) -> Refused:
    return Refused(413, "body", f"the body may have {limits.body:,} bytes", CLOSE)


async def _answer(refused: Refused, request_id: str, send: Any) -> None:
    body = refused.document(request_id)
    headers = {"content-type": "application/json", "content-length": str(len(body)), **refused.headers}
    await send({"type": "http.response.start", "status": refused.status,
                "headers": [(name.encode(), value.encode()) for name, value in headers.items()]})  # fmt: skip
    await send({"type": "http.response.body", "body": body})


@lru_cache(64)
def _name(place: bytes) -> str:
    """Of a host with or without its port; nothing of what is none."""
    try:
        return (urlsplit(f"//{place.decode('ascii')}").hostname or "").lower()
    except ValueError:
        return ""
