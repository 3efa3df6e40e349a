"""Laws of a request: what is no request is refused in one small document, and every answer is its own text's."""

import gzip
import json
import shutil
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx
import numpy as np
import pytest

from scriptchain import Classifier
from scriptchain.__main__ import run
from scriptchain.errors import UsageError
from scriptchain.runtime.attention_maps import Watched
from scriptchain.runtime.session import Session
from scriptchain.server.app import PATHS, POSTED
from scriptchain.server.page import KINDS

from .serving import Server, posted, received, serving, status


@pytest.fixture(scope="module")
def server(tiny_run: Path):
    with serving(tiny_run, "--limit", "header_seconds=1.5", "--limit", "body_seconds=1.5") as one:
        yield one


@pytest.fixture(autouse=True)
def alive(request):
    """Whatever a test did, the server answers behind it."""
    yield
    if "server" in request.fixturenames:
        one: Server = request.getfixturevalue("server")
        assert one.process.poll() is None
        assert one.predict("good").status_code == 200


def refused(answer: bytes, *statuses: int) -> dict:
    """Its document, which is small."""
    assert status(answer) in statuses, answer[:200]
    body = answer.partition(b"\r\n\r\n")[2]
    assert len(body) <= 4096
    document = json.loads(body)["error"]
    assert sorted(document) == ["code", "message", "request_id"]
    return document


# --- bodies --------------------------------------------------------------------------------------------------


GOOD = b'{"texts": ["good"]}'


@pytest.mark.parametrize(
    "body", [b"", b"{", GOOD[:-1], GOOD + GOOD, b"\xef\xbb\xbf" + GOOD, b"\xff\xfe" + GOOD, b"nope", b"\x00"]
)
def test_h1_what_is_no_json(server, body):
    assert refused(server.raw(posted(body)), 400)["code"] == "json"


@pytest.mark.parametrize(
    "body",
    [b'{"texts": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", b'{"texts": ["a"], "abstain_below": ' + b"9" * 5000 + b"}",
     b'{"texts": ["a"], "abstain_below": NaN}', b'{"texts": ["a"], "texts": ["b"]}',
     b'{"texts": ' + b"[" * 40 + b"]" * 40 + b"}"],
    ids=["depth", "digits", "nan", "twice", "deep"],
)  # fmt: skip
def test_h2_json_that_no_one_needs(server, body):
    assert refused(server.raw(posted(body)), 400)["code"] == "json"


@pytest.mark.parametrize("body", [b'{"texts": ["\\ud800"]}', b'{"texts": ["a \\udfff b"]}', b'{"\\ud800": 1}'])
def test_h3_half_a_character(server, body):
    refused(server.raw(posted(body)), 400)
    assert server.predict("a pair: \U0001f642").status_code == 200


@pytest.mark.parametrize(
    "document",
    [{"texts": [12345678]}, {"texts": None}, {"texts": "hunter2"}, {"texts": [["hunter2"]]}, {"texts": {"a": 1}},
     {"texts": ["a"], "hunter2": 1}, {"texts": ["a"], "abstain_below": 1.5}, {"texts": ["a"], "all": "yes"},
     {"texts": ["a"], "labels_above": "hunter2"}, {}, [], "a"],
    ids=str,
)  # fmt: skip
def test_h4_json_of_another_shape_is_refused_without_an_echo(server, document):
    answer = server.raw(posted(json.dumps(document).encode()))
    told = refused(answer, 422)
    assert told["code"] == "shape"
    assert b"hunter2" not in answer
    assert b"12345678" not in answer


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/xml", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded",
             "application/octet-stream", "application/json; charset=utf-16", ""]
)  # fmt: skip
def test_h5_other_kinds_of_body(server, kind):
    headers = f"content-type: {kind}\r\n".encode() if kind else b""
    body = b"\x80\x04]\x94." if "octet" in kind else GOOD
    assert refused(server.raw(posted(body, headers=headers)), 415)["code"] == "content_type"


def test_h6_too_large_bodies_are_refused_before_they_are_read(server):
    head = b"POST /v1/predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    answer = server.raw(head + b"content-length: 2000000\r\n\r\n")  # nothing of it is sent
    assert refused(answer, 413)["code"] == "body"
    assert b"connection: close" in answer.lower()
    chunk = b"10000\r\n" + b" " * 65_536 + b"\r\n"
    answer = server.raw(head + b"transfer-encoding: chunked\r\n\r\n" + chunk * 17)  # and no end
    assert refused(answer, 413)["code"] == "body"


def test_h7_many_small_chunks_and_packed_bodies(server):
    head = b"POST /v1/predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in GOOD + b" " * 65_537)
    assert status(server.raw(head + b"transfer-encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n")) == 200
    bomb = gzip.compress(b" " * 10_000_000)
    answer = server.raw(posted(bomb, headers=b"content-type: application/json\r\ncontent-encoding: gzip\r\n"))
    assert refused(answer, 415)["code"] == "encoding"


def test_h8_a_length_that_is_said_twice(server):
    head = b"POST /v1/predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    both = server.raw(head + b"content-length: 19\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n")
    refused(both, 400)
    assert b"connection: close" in both.lower()
    for more in (b"content-length: 19\r\ncontent-length: 20\r\n\r\n" + GOOD, b"content-length: -1\r\n\r\n",
                 b"transfer-encoding: chunked\r\n\r\nzz\r\n", b"transfer-encoding: gzip\r\n\r\n"):  # fmt: skip
        assert status(server.raw(head + more)) in (400, 501), more


def test_h9_headers_and_addresses_without_end(server):
    start = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n"
    refused(server.raw(start + b"x: " + b"a" * 20_000 + b"\r\n\r\n"), 431, 400)
    refused(server.raw(start + b"x: 1\r\n" * 1000 + b"\r\n"), 431)
    refused(server.raw(b"GET /" + b"a" * 65_536 + b" HTTP/1.1\r\nhost: localhost\r\n\r\n"), 414, 431, 400)


def test_h10_slow_and_silent_connections_end_and_nobody_waits_for_them(server):
    starts = [b"", b"GET /healthz HTTP/1.1\r\nhost: lo", b"POST /v1/predict HTTP/1.1\r\nhost: localhost\r\n",
              b"POST /v1/predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
              b"content-length: 19\r\n\r\n{"]  # fmt: skip
    slow = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(100)]
    for number, one in enumerate(slow):
        one.sendall(starts[number % len(starts)])
    for _ in range(10):
        assert server.client.get("/healthz").status_code == 200
    for number, one in enumerate(slow):
        one.settimeout(30)
        answer = received(one)
        assert status(answer) in ((0, 408) if number % len(starts) < 3 else (408,)), answer
        one.close()


def test_a_second_request_on_a_connection_has_a_deadline_too(server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as one:
        one.sendall(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert status(received(one)) == 200
        one.sendall(b"GET /healthz HTT")
        assert status(received(one)) in (0, 408)


def test_headers_without_end_are_cut_off_and_what_stands_behind_a_long_body_is_not(server):
    line = b"x-more: " + b"a" * 1000 + b"\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as one:
        one.sendall(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n")
        with suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(60):
                one.sendall(line)
                time.sleep(0.005)
        answer = received(one)
    assert (status(answer), json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"]) == (431, "headers")
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as one:
        one.sendall(posted(json.dumps({"texts": ["good " * 4000]}).encode()) + b"GET /healthz HTTP/1.1\r\nhost: lo")
        time.sleep(0.2)
        one.sendall(b"calhost\r\nconnection: close\r\n\r\n")
        answer = b""
        with suppress(ConnectionResetError):
            while part := one.recv(65_536):
                answer += part
    assert answer.count(b"HTTP/1.1 200 OK") == 2


# --- texts ---------------------------------------------------------------------------------------------------


def test_h11_texts_at_the_edges(server):
    assert server.predict().status_code == 422
    assert server.predict(*["a"] * 64).status_code == 200
    assert server.predict(*["a"] * 65).json()["error"]["code"] == "texts"
    assert server.predict("a" * 20_001).json()["error"]["code"] == "characters"
    told = server.predict("", " ", "good " * 4000, "good").json()["predictions"]
    assert [one["truncated"] for one in told] == [False, False, True, False]
    assert all(one["label"] in ("good", "bad") for one in told)


def test_h12_one_text_larger_than_a_batch_is_answered(server):
    assert server.predict(*["x " * 9_999] * 40).status_code == 200


def test_answers_are_those_of_the_command_line(server, tiny_run, capsys):
    texts = ["the food was good", "the food was not good", "good"]
    assert run(["predict", str(tiny_run), *texts, "--all", "--labels-above", "0.4", "--abstain-below", "0.6"]) == 0
    theirs = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    told = server.predict(*texts, all=True, labels_above=0.4, abstain_below=0.6).json()
    for one, other, text in zip(told["predictions"], theirs, texts, strict=True):
        assert one.pop("truncated") is False
        scores, others = one.pop("scores"), other.pop("scores")
        assert scores == pytest.approx(others, abs=2e-6)
        assert one.pop("score") == pytest.approx(other.pop("score"), abs=2e-6)
        assert {"text": text, **one} == other
    assert run(["explain", str(tiny_run), texts[1], "--json"]) == 0
    theirs = json.loads(capsys.readouterr().out)["explanations"][0]
    told = server.client.post("/v1/explain", json={"text": texts[1]}).json()
    assert told["words"] == [word | {"weight": pytest.approx(word["weight"], abs=1e-4)} for word in theirs["words"]]
    assert server.client.post("/v1/explain", json={"text": "a", "label": "neither"}).json()["error"]["code"] == "label"


def test_h19_h20_many_at_once_get_an_answer_each_to_their_own_text(server):
    texts = [f"{number} {'good' if number % 2 else 'not good'} food" for number in range(256)]
    alone = [server.predict(text, all=True).json()["predictions"][0]["scores"]["good"] for text in texts]

    # One client, made before: 64 threads that each make their own keep what they have connected waiting for longer than
    # this server waits for headers.
    limits = httpx.Limits(max_connections=64, max_keepalive_connections=0)
    with httpx.Client(timeout=60, limits=limits) as client, ThreadPoolExecutor(64) as pool:

        def asked(text: str) -> httpx.Response:
            return client.post(f"http://127.0.0.1:{server.port}/v1/predict", json={"texts": [text], "all": True})

        answers = list(pool.map(asked, texts))
    assert {answer.status_code for answer in answers} <= {200, 429, 503}
    assert sum(answer.status_code == 200 for answer in answers) >= 64
    for answer, expected in zip(answers, alone, strict=True):
        if answer.status_code == 200:
            assert answer.json()["predictions"][0]["scores"]["good"] == pytest.approx(expected, abs=1e-5)
        else:
            assert answer.headers["retry-after"]


def test_h22_who_leaves_is_forgotten(server):
    def left() -> float:
        text = server.client.get("/metrics").text
        return float(text.partition("\nscriptchain_abandoned_total ")[2].split()[0])

    before = left()
    body = json.dumps({"texts": ["good " * 3000] * 64}).encode()
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", server.port)) as one:
            one.sendall(posted(body))
    deadline = time.monotonic() + 30
    while left() == before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left() > before
    assert "scriptchain_waiting_texts 0.0" in server.client.get("/metrics").text


# --- addresses -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/v1/models/..%2f..%2fetc", "/%00", "//etc/passwd", "/v1/" + "a" * 4096, "/v1/․․", "/v1/predict/"]
)
def test_h13_other_paths_touch_nothing(server, path):
    refused(server.raw(f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode()), 404, 400)


def test_h14_verbs(server):
    for path in PATHS:
        if path == "/openapi.json":
            continue
        right = {"POST"} if path in POSTED else {"GET", "HEAD"}
        for verb in {"GET", "HEAD", "OPTIONS", "DELETE", "PUT", "PATCH", "POST"} - right:
            answer = server.client.request(verb, path, headers={"content-type": "application/json"})
            assert answer.status_code == 405, (verb, path)
            assert set(answer.headers["allow"].replace(" ", "").split(",")) <= right
        if "HEAD" in right:
            answer = server.client.head(path)
            assert (answer.status_code, answer.content) == (200, b"")


def test_what_each_head_looks_at_and_the_card(server, tiny_run):
    text = "the food was not good " * 20
    told = server.client.post("/v1/attention", json={"text": text}).json()
    found = Watched.of(Session(tiny_run, threads=1))(text)
    assert (told["tokens"], told["truncated"]) == (found.tokens, True)
    assert np.shape(told["weights"]) == found.weights.shape == (1, 2, 16, 16)
    np.testing.assert_allclose(told["weights"], found.weights, atol=6e-4)
    answer = server.client.get("/v1/card")
    assert answer.headers["content-type"].startswith("text/markdown")
    assert answer.text == (tiny_run / "README.md").read_text("utf-8")


def test_attention_of_a_folder_that_is_another_by_now_is_refused(tiny_run, tmp_path):
    shutil.copytree(tiny_run, tmp_path / "model")
    with serving(tmp_path / "model") as server:
        (tmp_path / "model" / "model.onnx").write_bytes(b"another")
        answer = server.client.post("/v1/attention", json={"text": "good"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "changed")
        assert server.predict("good").status_code == 200


def test_a_linear_model_has_no_attention_and_a_folder_without_a_card_none(tmp_path):
    Classifier("linear").fit(["good", "so good", "bad", "so bad"], ["a", "a", "b", "b"]).save_pretrained(tmp_path / "m")
    (tmp_path / "m" / "README.md").unlink(missing_ok=True)
    with pytest.raises(UsageError, match="attention must be asked of a model that has some, got a linear one"):
        Watched.of(Session(tmp_path / "m"))
    with serving(tmp_path / "m") as server:
        answer = server.client.post("/v1/attention", json={"text": "good"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "attention")
        answer = server.client.get("/v1/card")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "card")


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "localhost.", "[::"])
def test_h17_other_hosts_and_origins_are_refused(server, host):
    answer = server.raw(f"GET /v1/model HTTP/1.1\r\nhost: {host}\r\n\r\n".encode())
    assert refused(answer, 400)["code"] in ("host", "http")
    for origin in ("http://evil.example", "null", "http://[", "http://[::", "localhost"):
        answer = server.client.get("/v1/model", headers={"origin": origin})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "origin")
        assert "access-control-allow-origin" not in answer.headers
    assert server.client.get("/v1/model", headers={"origin": f"http://127.0.0.1:{server.port}"}).status_code == 200


def test_h34_metrics_name_no_stranger(server):
    for number in range(50):
        server.client.get(f'/x{number}"}} 1')
    text = server.client.get("/metrics").text
    assert "/x1" not in text
    routes = {line.partition('route="')[2].partition('"')[0] for line in text.splitlines() if 'route="' in line}
    assert routes <= {*PATHS, "other"}


def test_the_document_names_every_route_and_what_it_refuses(server):
    document = server.client.get("/openapi.json").json()
    assert set(document["paths"]) == set(PATHS) - {*KINDS, "/openapi.json"}
    body = document["paths"]["/v1/predict"]["post"]["requestBody"]["content"]["application/json"]
    assert body["schema"]["required"] == ["texts"]
    assert server.client.get("/v1/limits").json()["texts"] == 64
    assert server.client.get("/v1/model").json()["classes"] == ["bad", "good"]
