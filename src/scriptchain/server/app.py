"""The routes: labels, explanations, facts, health, and metrics of one model."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

import msgspec
from fastapi import FastAPI, Request, Response
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse

from .._version import __version__
from ..errors import ModelError, UsageError
from ..runtime.answers import DIGITS, label_of, members
from ..runtime.documents import parsed
from ..runtime.explain import explain
from ..runtime.session import softmax
from .batcher import Batcher, Busy
from .guard import Door, Guard, Refused, judge_body, too_large
from .limits import Limits
from .metrics import Metrics
from .model import Model
from .page import KINDS, add_page
from .schema import Attend, Attended, Explain, Explained, Failure, Predict, Predictions, complaint

LOG = logging.getLogger("scriptchain.server")
Body = TypeVar("Body", bound=BaseModel)
Found = TypeVar("Found")
PREDICT = "/v1/predict"
DEPTH = 32  # of a body's nesting
REFUSALS = {
    400: "Not a request, or from elsewhere.", 401: "No key, or a wrong one.", 404: "Not there.", 413: "Too large.",
    415: "Not JSON.", 422: "JSON of another shape.", 429: "This client has too much waiting.",
    503: "Too much is waiting; ask again.",
}  # fmt: skip


class Markdown(PlainTextResponse):
    media_type = "text/markdown"


class Service:
    """The model that answers now, and what waits for it."""

    def __init__(self, model: Model, limits: Limits, door: Door, stopping: Callable[[], bool]):
        self.model, self.limits, self.door, self.stopping = model, limits, door, stopping
        self.metrics = Metrics(frozenset(PATHS))
        self.metrics.serves(model)
        self.batcher = Batcher(limits, self.metrics.batch, self.metrics.left)
        self.task: asyncio.Task[None] | None = None
        self._explaining, self._explainer = 0, ThreadPoolExecutor(1, "explains")

    @asynccontextmanager
    async def lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        self.task = asyncio.get_running_loop().create_task(self.batcher.run())
        yield
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task
        self.batcher.close()
        self._explainer.shutdown(wait=False, cancel_futures=True)

    def take(self, model: Model) -> None:
        """From now on this one answers; who came before gets the one that was there."""
        self.model = model
        self.metrics.serves(model)

    @property
    def ready(self) -> bool:
        since = self.batcher.busy_since
        stuck = since is not None and time.monotonic() - since > self.limits.seconds
        return not (self.stopping() or stuck or self.task is None or self.task.done())

    def turned_away(self, scope: Mapping[str, Any]) -> Refused | None:
        """Why a request is refused before anything is made of it: so much waits that not one text has a place."""
        if scope["path"] != PREDICT or scope["method"] != "POST":
            return None
        try:
            self.batcher.expect(self.door.client(scope))
        except Busy as busy:
            return _crowded(busy)
        except Refused:  # for more than the crowd: told as it always is
            return None
        return None

    async def predict(self, wanted: Predict, client: str, request: Request) -> tuple[Model, list[Any]]:
        model = self.model
        found = await self._in_time(self.batcher.ask(model, wanted.texts, client), request)
        if all(one is None for one in found):
            raise Refused(500, "model", "the model could not answer")
        return model, found

    async def compute(self, request: Request, work: Callable[..., Found], *arguments: Any) -> Found:
        """What takes longer than an answer, in a thread of its own, one after another. Raises Busy."""
        if self._explaining >= self.limits.explanations:
            raise Busy(mine=False)
        self._explaining += 1
        try:
            running = asyncio.get_running_loop().run_in_executor(self._explainer, work, *arguments)
            return await self._in_time(running, request)
        finally:
            self._explaining -= 1

    async def _in_time(self, work: Awaitable[Found], request: Request) -> Found:
        """The answer, unless the client leaves or its time is up; then nobody computes it any more."""
        task, gone = asyncio.ensure_future(work), asyncio.ensure_future(_left(request))
        try:
            done, _ = await asyncio.wait({task, gone}, timeout=self.limits.seconds, return_when=asyncio.FIRST_COMPLETED)
            if task in done:
                return task.result()
            if gone in done:
                raise Refused(499, "gone", "the client left")
            raise Refused(503, "deadline", f"the answer took longer than {self.limits.seconds:g} s",
                          {"retry-after": "1"})  # fmt: skip
        finally:
            task.cancel()
            gone.cancel()


def create_app(
    model: Model, limits: Limits, keys: Sequence[str] = (), hosts: Sequence[str] = ("localhost", "127.0.0.1", "::1"),
    stopping: Callable[[], bool] = lambda: False,
) -> FastAPI:  # fmt: skip
    """The ASGI application; its `state.service` holds the model, and `take` changes it."""
    service = Service(model, limits, Door(limits, keys, hosts), stopping)
    app = FastAPI(
        title="ScriptChain", version=__version__, docs_url=None, redoc_url=None, redirect_slashes=False,
        lifespan=service.lifespan, responses={code: {"description": text, "model": Failure}
                                              for code, text in REFUSALS.items()},
    )  # fmt: skip
    app.state.service = service
    app.add_middleware(Guard, door=service.door, observe=service.metrics.observe)

    @app.exception_handler(Refused)
    async def refused(request: Request, error: Refused) -> Response:
        return _refusal(request, error)

    @app.exception_handler(Busy)
    async def busy(request: Request, error: Busy) -> Response:
        return _refusal(request, _crowded(error))

    @app.exception_handler(HTTPException)
    async def not_there(request: Request, error: HTTPException) -> Response:
        told = {404: ("not_found", "there is no such path"), 405: ("method", "the path has other methods")}
        code, message = told.get(error.status_code, ("request", "the request cannot be answered"))
        return _refusal(request, Refused(error.status_code, code, message, dict(error.headers or {})))

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> Response:
        LOG.error("request %s failed", request.state.request_id, exc_info=error)
        return _refusal(request, Refused(500, "bug", "the server failed; its log has the request's number"))

    @app.post(PREDICT, openapi_extra=_takes(Predict), responses={200: {"model": Predictions}})
    async def predict(request: Request) -> Response:
        """The label of each text, with its calibrated probability."""
        service.batcher.judge(request.state.client)
        wanted = await _body(request, Predict, limits)
        if len(wanted.texts) > limits.texts:
            raise Refused(413, "texts", f"a request may have {limits.texts:,} texts, got {len(wanted.texts):,}")
        _judge_length(wanted.texts, limits)
        model, found = await service.predict(wanted, request.state.client, request)
        return _json({"model": model.id, "predictions": _predictions(model, wanted, found)})

    @app.post("/v1/explain", openapi_extra=_takes(Explain), responses={200: {"model": Explained}})
    async def explained(request: Request) -> Response:
        """The words that an answer rests on."""
        wanted = await _body(request, Explain, limits)
        _judge_length([wanted.text], limits)
        model = service.model
        arguments = model.session.logits, model.session.labels, wanted.text, wanted.label
        try:
            found = await service.compute(request, explain, *arguments)
        except UsageError as error:
            raise Refused(404, "label", error.message) from None
        return _json({"model": model.id, **found.to_dict()})

    @app.post("/v1/attention", openapi_extra=_takes(Attend), responses={200: {"model": Attended}})
    async def attended(request: Request) -> Response:
        """How much each token takes from each other, by layer and head."""
        wanted = await _body(request, Attend, limits)
        _judge_length([wanted.text], limits)
        model = service.model
        try:
            found = await service.compute(request, model.attention, wanted.text)
        except UsageError as error:
            raise Refused(404, "attention", error.message) from None
        except ModelError:  # who asks first needs the file, and it is another one by now
            raise Refused(503, "changed", "the model's folder has changed since the server read it") from None
        return _json({"model": model.id, **found.to_dict()})

    @app.get("/v1/model")
    async def facts() -> Response:
        """What answers: its id, classes, and config."""
        return _json(service.model.facts())

    @app.get("/v1/card", response_class=Markdown)
    async def card() -> Response:
        """The model card, in Markdown: what the model is, its figures, and what it is not for."""
        if service.model.card is None:
            raise Refused(404, "card", "the model's folder has no README.md")
        return Markdown(service.model.card)

    @app.get("/v1/limits")
    async def told_limits() -> Response:
        """What a request may cost."""
        return _json(msgspec.structs.asdict(limits))

    @app.get("/healthz")
    async def alive() -> Response:
        """Whether the process runs."""
        return _json({"status": "alive"})

    @app.get("/readyz", responses={503: {"model": Failure, "description": "Stopping, or stuck."}})
    async def ready() -> Response:
        """Whether it takes requests now."""
        if not service.ready:
            raise Refused(503, "not_ready", "the server is stopping or stuck")
        return _json({"status": "ready", "model": service.model.id})

    @app.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> Response:
        """For Prometheus."""
        return PlainTextResponse(service.metrics.text(service.batcher.waiting))

    routes = {"/v1/model": facts, "/v1/card": card, "/v1/limits": told_limits, "/healthz": alive, "/readyz": ready,
              "/metrics": metrics}  # fmt: skip
    for path, route in routes.items():
        app.add_api_route(path, route, methods=["HEAD"], include_in_schema=False)
    add_page(app)
    return app


POSTED = ("/v1/predict", "/v1/explain", "/v1/attention")
PATHS = (*KINDS, *POSTED, "/v1/model", "/v1/card", "/v1/limits", "/healthz", "/readyz", "/metrics", "/openapi.json")


async def _left(request: Request) -> None:
    """Returns when the client is gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _body(request: Request, kind: type[Body], limits: Limits) -> Body:
    """Raises Refused for a body that comes too slowly, is too large, or is not of that kind."""
    judge_body(request.headers, limits)
    content = bytearray()
    try:
        async with asyncio.timeout(limits.body_seconds):
            async for chunk in request.stream():
                content += chunk
                if len(content) > limits.body:
                    raise too_large(limits)
    except TimeoutError:
        raise Refused(408, "body", f"the body must come within {limits.body_seconds:g} s",
                      {"connection": "close"}) from None  # fmt: skip
    try:
        document = parsed(bytes(content), "the body", limits.body)
    except ModelError as error:
        raise Refused(400, "json", error.message.partition(" (")[0]) from None
    if _depth(document) > DEPTH:
        raise Refused(400, "json", f"the body may be nested {DEPTH} deep")
    try:
        return kind.model_validate(document)
    except ValidationError as error:
        raise Refused(422, "shape", complaint(error.errors(include_input=False, include_url=False))) from None


def _depth(value: Any) -> int:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inside is None else 1 + max(map(_depth, inside), default=0)


def _judge_length(texts: Sequence[str], limits: Limits) -> None:
    longest = max(map(len, texts))
    if longest > limits.characters:
        raise Refused(413, "characters", f"a text may have {limits.characters:,} characters, got {longest:,}")


def _predictions(model: Model, wanted: Predict, found: list[Any]) -> list[dict[str, Any]]:
    names, session = model.session.labels.names, model.session
    cut = session.truncated(wanted.texts)
    told: list[dict[str, Any]] = []
    for logits, truncated in zip(found, cut, strict=True):
        if logits is None:
            told.append({"error": "the model could not answer this text"})
            continue
        scores = softmax(logits).tolist()
        one: dict[str, Any] = {"label": label_of(names, scores, wanted.abstain_below),
                               "score": round(max(scores), DIGITS), "truncated": truncated}  # fmt: skip
        if wanted.labels_above is not None:
            one["labels"] = members(names, scores, wanted.labels_above)
        if wanted.all:
            one["scores"] = {name: round(score, DIGITS) for name, score in zip(names, scores, strict=True)}
        told.append(one)
    return told


def _takes(kind: type[BaseModel]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": kind.model_json_schema()}}}}


def _json(document: Any) -> Response:
    return Response(msgspec.json.encode(document), media_type="application/json")


def _crowded(busy: Busy) -> Refused:
    mine = 429, "share", "this client has too many texts waiting"
    return Refused(*(mine if busy.mine else (503, "busy", "too much is waiting already")), {"retry-after": "1"})


def _refusal(request: Request, error: Refused) -> Response:
    return Response(error.document(request.state.request_id), error.status, {**error.headers}, "application/json")
