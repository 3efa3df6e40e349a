"""Laws of the process: keys, fairness, models that fail or change under load, signals, and addresses."""

import asyncio
import json
import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx
import numpy as np
import pytest

from scriptchain.__main__ import run
from scriptchain.data.labels import Labels
from scriptchain.runtime.session import Session
from scriptchain.server.app import PATHS, POSTED, create_app
from scriptchain.server.batcher import Batcher, Busy
from scriptchain.server.guard import OPEN
from scriptchain.server.limits import Limits
from scriptchain.server.model import Model

from .serving import posted, received, serving, status

KEYS = ["a-first-key-of-some-length", "another-key-of-some-length"]


class Stub(Session):
    """A model whose answer is the length of the text; it fails, answers NaN or waits where it is told to."""

    def __init__(self) -> None:
        self.labels = Labels.from_names(["long", "short"])
        self.go_on, self.batches = threading.Event(), []
        self.go_on.set()

    def logits(self, texts: Sequence[str]) -> np.ndarray:
        self.batches.append(len(texts))
        self.go_on.wait(20)
        if any("boom" in text for text in texts):
            raise MemoryError("too much")
        return np.array([[np.nan if "nan" in text else len(text), 0] for text in texts], np.float32)

    def truncated(self, texts: Sequence[str]) -> list[bool]:
        return [False] * len(texts)


def stubbed(name: str = "one") -> Model:
    return Model(Path(name), name, Stub())


def in_process(test, limits: Limits, keys=(), model: Model | None = None):
    """Runs `test(client, service)` against an application without a socket."""

    async def main():
        app = create_app(model or stubbed(), limits, keys)
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=30) as client:
                return await test(client, app.state.service)

    return asyncio.run(main())


# --- keys ----------------------------------------------------------------------------------------------------


def test_h15_every_route_but_health_asks_for_a_key():
    async def test(client, service):
        paths = [(path, "POST" if path in POSTED else "GET") for path in [*PATHS, "/nope"]]
        for path, verb in paths:
            for headers in ({}, {"authorization": "Bearer wrong"}, {"x-api-key": KEYS[0][:-1]}, {"x-api-key": ""},
                            {"authorization": f"Basic {KEYS[0]}"}):  # fmt: skip
                answer = await client.request(verb, path, headers=headers, json={"texts": ["a"]})
                assert answer.status_code == (200 if path in OPEN else 401), path
            for headers in ({"authorization": f"Bearer {KEYS[0]}"}, {"x-api-key": KEYS[1]}):
                answer = await client.request(verb, path, headers=headers, json={"texts": ["a"], "text": "a"})
                assert answer.status_code != 401, path
        assert {route.path for route in service_routes(client)} == set(PATHS)

    def service_routes(client):
        app = client._transport.app
        return list(app.routes)

    in_process(test, Limits(), KEYS)


def test_h16_keys_are_told_nowhere(tiny_run, tmp_path):
    file = tmp_path / "keys"
    file.write_text("\n".join(KEYS), encoding="utf-8")
    with serving(tiny_run, "--key-file", file) as server:
        headers = {"x-api-key": KEYS[0]}
        told = [server.client.post("/v1/predict", headers=headers, json=body).text
                for body in ({"texts": ["good"]}, {"texts": [1]}, {"nope": KEYS[0]})]  # fmt: skip
        told += [
            server.client.get(path, headers=headers).text for path in ("/metrics", "/v1/model", "/v1/limits", "/x")
        ]
        told += [server.client.get("/v1/model", headers={"authorization": f"Bearer {KEYS[0]}x"}).text, server.said()]
        assert server.client.get("/v1/model", headers=headers).status_code == 200
        assert not any(key in text for key in KEYS for text in told)
        assert b"first-key" not in Path(f"/proc/{server.process.pid}/cmdline").read_bytes()
    with serving(tiny_run, SCRIPTCHAIN_API_KEY=KEYS[1]) as server:
        assert server.predict("good").status_code == 401
        assert server.client.get("/v1/model", headers={"x-api-key": KEYS[1]}).status_code == 200


@pytest.mark.parametrize("content", ["", "short\n", "a key with ünicode letters\n"])
def test_a_key_file_without_good_keys_is_refused(content, tiny_run, tmp_path, capsys):
    (tmp_path / "keys").write_text(content, encoding="utf-8")
    assert run(["serve", str(tiny_run), "--key-file", str(tmp_path / "keys")]) == 2
    assert capsys.readouterr().err == (
        "error: --key-file must hold a key of 16 or more plain characters a line; "
        "hint: head -c 24 /dev/urandom | base64 > keys\n"
    )
    assert run(["serve", str(tiny_run), "--key-file", str(tmp_path / "none")]) == 5
    assert capsys.readouterr().err == f"error: {tmp_path}/none cannot be read (No such file or directory)\n"


def test_h35_nothing_of_what_was_sent_is_kept(tiny_run):
    """Twenty megabytes of requests, answered, refused and broken off; the hours are those of benchmarks/load.py."""

    def asked(server, rounds):
        for number in range(rounds):
            text = f"good food {number} " + "x" * 1900
            assert server.predict(*[text] * 64).status_code == 200
            assert server.client.post("/v1/predict", json={"texts": [text], "nope": 1}).status_code == 422
            assert server.client.get(f"/{number}").status_code == 404
            with socket.create_connection(("127.0.0.1", server.port)) as one:
                one.sendall(posted(json.dumps({"texts": [text] * 64}).encode())[:60_000])

    def held(server):
        process = Path(f"/proc/{server.process.pid}")
        memory = int((process / "status").read_text().partition("VmRSS:")[2].split()[0]) / 1024
        return memory, len(list((process / "fd").iterdir()))

    with serving(tiny_run) as server:
        asked(server, 25)
        time.sleep(0.5)
        memory, files = held(server)
        asked(server, 110)
        time.sleep(0.5)
        later = held(server)
    assert later[0] - memory < 8
    assert later[1] <= files


# --- what waits ----------------------------------------------------------------------------------------------


def test_h18_one_client_that_floods_costs_the_others_nothing():
    async def test(client, service):
        stub = service.model.session
        stub.go_on.clear()
        mine, other = ({"x-api-key": key} for key in KEYS)

        def ask(headers):
            return asyncio.create_task(client.post("/v1/predict", headers=headers, json={"texts": ["a"] * 4}))

        flood = [ask(mine) for _ in range(10)]
        await asyncio.sleep(0.3)
        theirs = ask(other)
        await asyncio.sleep(0.1)
        stub.go_on.set()
        answers = await asyncio.gather(*flood)
        refused = [answer for answer in answers if answer.status_code == 429]
        assert len(refused) == 10 - 16 // 4
        assert {answer.headers["retry-after"] for answer in refused} == {"1"}
        assert (await theirs).status_code == 200

    in_process(test, Limits(queue=32, share=0.5, texts=8), KEYS)


def test_more_than_the_queue_holds_is_refused_and_nothing_hangs():
    async def test(client, service):
        service.model.session.go_on.clear()
        tasks = [asyncio.create_task(client.post("/v1/predict", json={"texts": ["a"]})) for _ in range(20)]
        await asyncio.sleep(0.3)
        service.model.session.go_on.set()
        found = [answer.status_code for answer in await asyncio.gather(*tasks)]
        assert (found.count(200), found.count(503)) == (8, 12)
        assert service.batcher.waiting == 0

    in_process(test, Limits(queue=8, share=1.0, texts=8))


def test_texts_that_are_read_together_see_each_other():
    async def main():
        batcher = Batcher(Limits(queue=8, share=0.5, texts=2))
        for _ in range(4):
            batcher.expect("one")
        with pytest.raises(Busy) as refused:
            batcher.expect("one")
        assert refused.value.mine
        for _ in range(4):
            batcher.expect("another")
        with pytest.raises(Busy) as refused:
            batcher.expect("a third")
        assert not refused.value.mine
        await asyncio.sleep(0)
        batcher.expect("one")  # who never asked holds nothing
        batcher.close()

    asyncio.run(main())


CROWD = ("--limit", "queue=8", "--limit", "share=1", "--limit", "texts=8", "--limit", "wait=1")  # a place is held 1 s


def test_h21_a_crowd_is_refused_by_its_headers_and_who_has_a_place_is_answered(tiny_run):
    with serving(tiny_run, *CROWD) as server:
        crowd = [socket.create_connection(("127.0.0.1", server.port), timeout=30) for _ in range(40)]
        for number, one in enumerate(crowd):
            one.sendall(posted(json.dumps({"texts": [f"good food {number}"]}).encode()))
        answers = [received(one) for one in crowd]
        found = [status(answer) for answer in answers]
        assert (found.count(200), found.count(503)) == (8, 32)
        told = [json.loads(answer.partition(b"\r\n\r\n")[2])["error"] for answer in answers if status(answer) == 503]
        assert {one["code"] for one in told} == {"busy"}
        assert len({one["request_id"] for one in told}) == 32
        assert 'requests_total{route="/v1/predict",status="503"} 32.0' in server.client.get("/metrics").text
        for one in (crowd[0], crowd[-1]):  # the connections of those that were refused too
            one.sendall(posted(b'{"texts": ["good"]}'))
            assert status(received(one)) == 200
        for one in crowd:
            one.close()


def test_the_body_of_a_refused_request_is_no_request(tiny_run):
    with serving(tiny_run, *CROWD) as server, ThreadPoolExecutor(1) as pool:
        full = pool.submit(server.predict, *["good"] * 8)
        time.sleep(0.3)
        asks = b"content-type: application/json\r\nexpect: 100-continue\r\n"
        answer = server.raw(posted(b"", headers=asks).replace(b"length: 0", b"length: 19"))
        assert (status(answer), b"connection: close" in answer) == (503, True)  # its body may come or not
        hidden = b"GET /v1/limits HTTP/1.1\r\nhost: localhost\r\n\r\n"
        head, _, _ = posted(hidden).partition(b"\r\n\r\n")
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as one:
            one.sendall(head + b"\r\n\r\n")
            assert status(received(one)) == 503
            one.sendall(hidden + b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
            answer = received(one)
        assert (status(answer), answer.count(b"HTTP/1.1")) == (200, 1)
        assert b"body" not in answer  # nothing of what the limits are
        assert full.result().status_code == 200


def test_a_client_that_says_it_is_another_has_no_second_share(tiny_run):
    limits = ("--limit", "queue=32", "--limit", "share=0.25", "--limit", "texts=8", "--limit", "wait=1")
    with serving(tiny_run, *limits) as server, ThreadPoolExecutor(1) as pool:
        full = pool.submit(server.predict, *["good"] * 8)
        time.sleep(0.3)
        more = {"content-type": "application/json", "x-forwarded-for": "203.0.113.9", "forwarded": "for=203.0.113.9"}
        body = b'{"texts": ["good"]}'
        assert server.client.post("/v1/predict", content=body, headers=more).status_code == 429
        assert full.result().status_code == 200


def test_a_connection_too_many_is_told_so(tiny_run):
    with serving(tiny_run, "--limit", "connections=4") as server:
        server.client.close()
        held = [socket.create_connection(("127.0.0.1", server.port), timeout=30) for _ in range(3)]
        time.sleep(0.2)
        answer = server.raw(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert (status(answer), json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"]) == (503, "connections")
        for one in held:
            one.close()
        time.sleep(0.2)
        assert status(server.raw(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")) == 200


def test_texts_that_come_together_are_answered_together_and_each_gets_its_own():
    async def main():
        model, sizes = stubbed(), []
        batcher = Batcher(Limits(wait=0.05), sizes.append)
        task = asyncio.create_task(batcher.run())
        answers = await asyncio.gather(*(batcher.ask(model, ["x" * n], str(n)) for n in range(1, 41)))
        assert [float(one[0][0]) for one in answers] == list(range(1, 41))
        assert sizes[0] == 32
        assert sum(sizes) == 40
        task.cancel()
        batcher.close()

    asyncio.run(main())


def test_a_batch_is_of_one_model():
    async def main():
        old, new = stubbed("old"), stubbed("new")
        batcher = Batcher(Limits(wait=0.05))
        task = asyncio.create_task(batcher.run())
        await asyncio.gather(*(batcher.ask(old if n % 3 else new, ["x"], "me") for n in range(30)))
        assert sum(old.session.batches) == 20
        assert sum(new.session.batches) == 10
        with pytest.raises(Busy) as caught:
            await batcher.ask(old, ["x"] * 600, "me")
        assert not caught.value.mine
        task.cancel()
        batcher.close()

    asyncio.run(main())


def test_an_answer_that_takes_too_long_is_given_up():
    async def test(client, service):
        service.model.session.go_on.clear()
        answer = await client.post("/v1/predict", json={"texts": ["a"]})
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "deadline")
        assert (await client.post("/v1/predict", json={"texts": ["b"]})).status_code == 503
        await asyncio.sleep(0.05)
        assert service.batcher.waiting == 0
        assert len(service.batcher._jobs) == 0  # nothing piles up behind an answer that hangs
        service.model.session.go_on.set()

    in_process(test, Limits(seconds=0.3))


# --- models that fail or change ------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", ["boom", "nan"])
def test_h23_a_text_that_breaks_the_model_costs_no_other_its_answer(bad):
    async def test(client, service):
        asked = [client.post("/v1/predict", json={"texts": [text]}) for text in ("a", bad, "ccc")]
        answers = await asyncio.gather(*asked)
        assert [answer.status_code for answer in answers] == [200, 500, 200]
        assert answers[1].json()["error"]["request_id"] == answers[1].headers["x-request-id"]
        told = (await client.post("/v1/predict", json={"texts": ["a", bad]})).json()["predictions"]
        assert told[0]["label"] == "long"
        assert told[1] == {"error": "the model could not answer this text"}

    in_process(test, Limits(wait=0.05))


def test_h32_a_batch_for_which_there_is_no_memory_is_answered_in_parts():
    class Small(Stub):
        def logits(self, texts: Sequence[str]) -> np.ndarray:
            if len(texts) > 1:
                raise MemoryError("too much")
            return super().logits(texts)

    async def test(client, service):
        texts = ["x" * length for length in range(1, 33)]
        told = (await client.post("/v1/predict", json={"texts": texts, "all": True})).json()["predictions"]
        alone = [(await client.post("/v1/predict", json={"texts": [text], "all": True})).json() for text in texts]
        assert told == [one["predictions"][0] for one in alone]
        assert (await client.get("/readyz")).status_code == 200

    in_process(test, Limits(), model=Model(Path("small"), "small", Small()))


def test_h31_out_of_files_it_refuses_and_recovers(tiny_run):
    with serving(tiny_run, files=64) as server:
        assert server.client.get("/v1/limits").json()["connections"] == 32
        server.client.close()
        crowd = []
        for _ in range(200):
            one = socket.create_connection(("127.0.0.1", server.port), timeout=5)
            one.sendall(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
            crowd.append(one)
        answers = []
        for one in crowd:
            with suppress(TimeoutError, ConnectionResetError):
                one.settimeout(0.2)
                answers.append(one.recv(100)[:12])
        assert set(answers) <= {b"HTTP/1.1 200", b"HTTP/1.1 503", b""}
        assert b"HTTP/1.1 503" in answers
        assert server.process.poll() is None
        for one in crowd:
            one.close()
        deadline = time.monotonic() + 10
        while True:
            with suppress(httpx.HTTPError):
                answer = httpx.post(f"http://127.0.0.1:{server.port}/v1/predict", json={"texts": ["good"]}, timeout=5)
                if answer.status_code == 200:
                    break
            assert time.monotonic() < deadline
            time.sleep(0.2)
        assert "Traceback" not in server.said()
        assert "32 connections at once: the system's limit of open files allows no more" in server.said()


def test_h24_a_model_that_hangs_is_alive_but_not_ready():
    async def test(client, service):
        assert (await client.get("/readyz")).status_code == 200
        service.model.session.go_on.clear()
        hanging = asyncio.create_task(client.post("/v1/predict", json={"texts": ["a"]}))
        await asyncio.sleep(0.6)
        assert (await client.get("/healthz")).status_code == 200
        assert (await client.get("/readyz")).status_code == 503
        service.model.session.go_on.set()
        await hanging
        await asyncio.sleep(0.2)
        assert (await client.get("/readyz")).status_code == 200
        service.task.cancel()
        await asyncio.sleep(0.05)
        assert (await client.get("/readyz")).status_code == 503

    in_process(test, Limits(seconds=0.3))


def test_h25_h26_a_new_model_takes_over_without_a_lost_request_and_a_bad_one_does_not(tiny_run, tiny_data, tmp_path):
    folder = shutil.copytree(tiny_run, tmp_path / "model")
    other = tmp_path / "other"
    assert run(["train", str(tiny_data), "--preset", "linear", "--output", str(other), "--quiet"]) == 0
    with serving(folder) as server:
        first = server.predict("good").json()["model"]
        found, ended = [], threading.Event()

        def ask():
            with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=60) as client:
                while not ended.is_set():
                    answer = client.post("/v1/predict", json={"texts": ["the food was good"]})
                    found.append((answer.status_code, answer.json()["model"], answer.json()["predictions"][0]["score"]))

        with ThreadPoolExecutor(4) as pool:
            tasks = [pool.submit(ask) for _ in range(4)]
            (folder / "old").mkdir()
            for place in list(folder.iterdir()):
                if place.is_file():
                    place.unlink()
            for place in other.iterdir():
                shutil.copy(place, folder)
            until(lambda: len(found) > 20)
            server.process.send_signal(signal.SIGHUP)
            until(lambda: "reloaded: " in server.said())
            seen = len(found)
            until(lambda: len(found) > seen + 20)
            (folder / "labels.json").write_text("[]", encoding="utf-8")
            server.process.send_signal(signal.SIGHUP)
            until(lambda: "not reloaded, " in server.said())
            seen = len(found)
            until(lambda: len(found) > seen + 20)
            ended.set()
            for task in tasks:
                task.result()
        assert {status for status, _, _ in found} == {200}
        models = {model for _, model, _ in found}
        assert len(models) == 2
        assert first in models
        assert len({(model, score) for _, model, score in found}) == 2  # no answer of one under the name of the other
        assert found[-1][1] != first
        assert "labels.json" in server.said()


def until(holds, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


# --- signals and addresses -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGINT])
def test_h27_stopping_answers_what_is_under_way_and_waits_for_nobody_silent(kind, tiny_run):
    with serving(tiny_run, "--limit", "drain=15", "--limit", "wait=0.5", "--limit", "batch=1000") as server:
        slow = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(30)]
        for number, one in enumerate(slow):
            one.sendall(b"GET /healthz HTTP/1.1\r\nhost: lo" if number % 2 else b"")
        asking = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(32)]
        for one in asking:
            one.sendall(posted(b'{"texts": ["the food was good"]}'))
        time.sleep(0.3)  # they wait for their batch
        server.process.send_signal(kind)
        for one in asking:
            one.settimeout(30)
        assert [status(received(one)) for one in asking] == [200] * 32
        assert server.process.wait(timeout=30) == 0
        assert server.said().endswith("stopped\n")
        for one in (*slow, *asking):
            one.close()


def test_h28_a_killed_server_leaves_its_port_free(tiny_run):
    with serving(tiny_run) as server:
        assert server.stop(signal.SIGKILL) == -signal.SIGKILL
        with serving(tiny_run, "--port", server.port) as again:
            assert again.port == server.port
            assert again.predict("good").status_code == 200


def test_h29_addresses_that_cannot_be_had(tiny_run, capsys):
    assert run(["serve", str(tiny_run), "--host", "203.0.113.7", "--insecure"]) == 5
    assert capsys.readouterr().err == (
        "error: 203.0.113.7 port 8000 must be free (Cannot assign requested address); hint: --port 0 takes any\n"
    )
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert run(["serve", str(tiny_run), "--port", str(port)]) == 5
    assert capsys.readouterr().err == (
        f"error: 127.0.0.1 port {port} must be free (Address already in use); hint: --port 0 takes any\n"
    )
    assert run(["serve", str(tiny_run), "--host", "no such host", "--insecure"]) == 5
    assert capsys.readouterr().err.startswith("error: --host 'no such host' must be an address of this machine (")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_h30_others_can_reach_it_with_a_key_alone(host, tiny_run, capsys):
    assert run(["serve", str(tiny_run), "--host", host, "--port", "0"]) == 2
    assert capsys.readouterr().err == (
        f"error: --host {host} must come with --key-file: others can reach it; hint: --key-file FILE, or --insecure\n"
    )


def test_h30_by_default_only_this_machine_reaches_it(tiny_run):
    with serving(tiny_run) as server:
        place = Path(f"/proc/{server.process.pid}/net/tcp").read_text()
        local = [line.split()[1] for line in place.splitlines()[1:] if line.split()[3] == "0A"]
        assert f"0100007F:{server.port:04X}" in local
        assert f"00000000:{server.port:04X}" not in local


@pytest.mark.parametrize(
    ("limit", "told"),
    [("nope=1", "--limit must be NAME=VALUE with a name of body, texts, "), ("body", "--limit must be NAME=VALUE"),
     ("body=0", "--limit must be a number in its range ("), ("wait=x", "--limit must be a number in its range (")],
)  # fmt: skip
def test_limits_that_are_none_are_refused(limit, told, tiny_run, capsys):
    assert run(["serve", str(tiny_run), "--limit", limit]) == 2
    assert capsys.readouterr().err.startswith(f"error: {told}")


def test_a_model_that_is_none_is_refused(tmp_path, capsys):
    assert run(["serve", str(tmp_path), "--port", "0"]) == 4
    assert "must exist in a run folder" in capsys.readouterr().err


def test_the_server_needs_no_torch(tiny_run):
    with serving(tiny_run) as server:
        server.predict("good")
        server.client.post("/v1/explain", json={"text": "not good"})
        maps = Path(f"/proc/{server.process.pid}/maps").read_text()
        assert "onnxruntime" in maps
        assert "torch" not in maps
        assert json.loads(server.client.get("/v1/limits").text)["body"] == 2**20
        assert os.path.exists(f"/proc/{server.process.pid}")
