"""Run folders that somebody tampered with, in families, and an oracle that watches what loading one does.

usage: python tests/faults/bundles.py FOLDER [COUNT]     a good run folder, and how many cases of it to try

A case changes a copy of the folder. Those of `sealed` families also write the new hashes into the manifest, as someone
would who can write one file and the other: then it is the check behind the hash that must refuse. A sealed change of a
weight to another finite number is another model, and none of these cases.
"""

import gzip
import hashlib
import io
import json
import os
import random
import resource
import shutil
import struct
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

Change = Callable[[Path], None]


@dataclass(frozen=True)
class Case:
    family: str
    what: str
    change: Change
    sealed: bool = False


FILES = ("baseline.json", "baseline.safetensors", "config.json", "familiarity.safetensors", "fingerprints.bin",
         "labels.json", "model.onnx", "model.safetensors", "tokenizer.json")  # fmt: skip
TENSORS = ("baseline.safetensors", "familiarity.safetensors", "model.safetensors")


def seal(folder: Path) -> None:
    path = folder / "manifest.json"
    manifest = json.loads(path.read_bytes())
    for name in manifest["files"]:
        manifest["files"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    path.write_text(json.dumps(manifest))


def put(name: str, content: bytes) -> Change:
    return lambda folder: (folder / name).write_bytes(content) and None


def edit(name: str, change: Callable[[bytes], bytes]) -> Change:
    return lambda folder: (folder / name).write_bytes(change((folder / name).read_bytes())) and None


def document(name: str, change: Callable[[Any], Any]) -> Change:
    return edit(name, lambda content: json.dumps(change(json.loads(content)), ensure_ascii=False).encode())


# --- unsealed: the hash refuses -------------------------------------------------------------------------------------


def truncated() -> Iterator[Case]:
    for name in (*FILES, "manifest.json"):
        for part in range(64):
            yield Case("truncated", f"{name} at {part}/64", edit(name, lambda c, part=part: c[: len(c) * part // 64]))
        yield Case("truncated", f"{name} by a byte", edit(name, lambda c: c[:-2]))


def extended() -> Iterator[Case]:
    for name in FILES:
        for more in (b"\0", b"\n", b" " * 4096):
            yield Case("extended", f"{name} by {len(more)}", edit(name, lambda c, more=more: c + more))


def flipped(rng: random.Random) -> Iterator[Case]:
    for name in FILES:
        for _ in range(40):
            place, bit = rng.random(), 1 << rng.randrange(8)

            def flip(content: bytes, place: float = place, bit: int = bit) -> bytes:
                at = int(place * len(content))
                return content[:at] + bytes([content[at] ^ bit]) + content[at + 1 :]

            yield Case("flipped", f"{name} at {place:.3f}, bit {bit}", edit(name, flip))


def missing() -> Iterator[Case]:
    for name in (*FILES, "manifest.json"):
        yield Case("missing", name, lambda folder, name=name: (folder / name).unlink())


# --- formats --------------------------------------------------------------------------------------------------------


# A pickle that calls a program when it is loaded.
RUNS = b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R."


def swapped() -> Iterator[Case]:
    box = io.BytesIO()
    with zipfile.ZipFile(box, "w") as file:
        file.writestr("data.pkl", RUNS)
    foreign = {
        "a pickle": RUNS, "an old pickle": b"cposix\nsystem\n(S'true'\ntR.", "a zip": box.getvalue(),
        "a 7z": b"7z\xbc\xaf\x27\x1c" + bytes(60), "a gzip": gzip.compress(b"{}"), "a program": b"\x7fELF" + bytes(60),
        "a script": b"#!/bin/sh\nrm -rf /\n", "nothing": b"", "zeros": bytes(100), "text": b"hello", "a list": b"[]",
        "an object": b"{}", "a number": b"1", "null": b"null",
    }  # fmt: skip
    for name in FILES:
        for what, content in foreign.items():
            if name == "fingerprints.bin" and len(content) % 8 == 0:
                continue  # eight bytes a text, whatever they are
            yield Case("swapped", f"{what} as {name}", put(name, content), sealed=True)


# --- safetensors ----------------------------------------------------------------------------------------------------


def rebuilt(header: Any, body: bytes) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def parts(content: bytes) -> tuple[dict[str, Any], bytes]:
    size = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + size]), content[8 + size :]


def header_of(change: Callable[[dict[str, Any], bytes], tuple[Any, bytes]]) -> Callable[[bytes], bytes]:
    return lambda content: rebuilt(*change(*parts(content)))


def first(header: dict[str, Any]) -> str:
    return next(name for name in header if name != "__metadata__")


def with_entry(**changes: Any) -> Callable[[bytes], bytes]:
    def change(header: dict[str, Any], body: bytes) -> tuple[Any, bytes]:
        name = first(header)
        return {**header, name: {**header[name], **changes}}, body

    return header_of(change)


def headers() -> Iterator[Case]:
    def twice(header: dict[str, Any], body: bytes) -> tuple[Any, bytes]:
        name = first(header)
        text = json.dumps(header)[:-1] + f", {json.dumps(name)}: {json.dumps(header[name])}}}"
        return text.encode(), body

    def hole(header: dict[str, Any], body: bytes) -> tuple[Any, bytes]:
        moved = {
            name: one if name == "__metadata__" else {**one, "data_offsets": [at + 8 for at in one["data_offsets"]]}
            for name, one in header.items()
        }
        return moved, bytes(8) + body

    def shared(header: dict[str, Any], body: bytes) -> tuple[Any, bytes]:
        return {**header, "again": header[first(header)]}, body

    def empty(header: dict[str, Any], body: bytes) -> tuple[Any, bytes]:
        return {**header, "nothing": {"dtype": "F32", "shape": [0], "data_offsets": [4, 4]}}, body

    def infinite(header: dict[str, Any], body: bytes, value: float) -> tuple[Any, bytes]:
        return header, struct.pack("<f", value) + body[4:]

    faults: dict[str, Callable[[bytes], bytes]] = {
        "a header of 2^62 bytes": lambda c: struct.pack("<Q", 2**62) + c[8:],
        "a header of 100 MB": lambda c: struct.pack("<Q", 100_000_000) + c[8:],
        "a header of 0 bytes": lambda c: struct.pack("<Q", 0) + c[8:],
        "a header of -1 bytes": lambda c: b"\xff" * 8 + c[8:],
        "a header that is a list": lambda c: rebuilt([1], parts(c)[1]),
        "a header that is nested deep": lambda c: rebuilt(b"[" * 100_000, parts(c)[1]),
        "a header with NaN": lambda c: rebuilt(b'{"a": NaN}', parts(c)[1]),
        "a key twice": header_of(twice),
        "a hole": header_of(hole),
        "a shared place": header_of(shared),
        "an empty tensor inside another": header_of(empty),
        "a span of no end": with_entry(data_offsets=[0]),
        "a reversed span": with_entry(data_offsets=[8, 0]),
        "a span beyond the end": with_entry(data_offsets=[0, 2**40]),
        "a negative span": with_entry(data_offsets=[-4, 0]),
        "an overflowing shape": with_entry(shape=[2**33, 2**33]),
        "a negative shape": with_entry(shape=[-1]),
        "a shape of text": with_entry(shape="all"),
        "an unknown dtype": with_entry(dtype="PICKLE"),
        "a wrong dtype": with_entry(dtype="I64"),
        "a half dtype": with_entry(dtype="F16"),
        "an unknown key": with_entry(auto_map="evil.py"),
        "metadata that is a number": header_of(lambda h, b: ({**h, "__metadata__": {"a": 1}}, b)),
        "NaN": header_of(lambda h, b: infinite(h, b, float("nan"))),
        "infinity": header_of(lambda h, b: infinite(h, b, float("inf"))),
        "minus infinity": header_of(lambda h, b: infinite(h, b, float("-inf"))),
        "one byte more": lambda c: c + b"\0",
        "one byte less": lambda c: c[:-1],
        "no bytes of tensors": lambda c: rebuilt(parts(c)[0], b""),
    }
    for name in TENSORS:
        for what, change in faults.items():
            yield Case("tensors", f"{what} in {name}", edit(name, change), sealed=True)
    for what, change in {
        "no idf": header_of(lambda h, b: ({k: v for k, v in h.items() if k != "idf"}, b)),
        "another name": lambda c: c.replace(b'"idf"', b'"odf"'),
    }.items():
        yield Case("tensors", f"{what} in baseline.safetensors", edit("baseline.safetensors", change), sealed=True)


# --- documents ------------------------------------------------------------------------------------------------------


def configs() -> Iterator[Case]:
    for key, value in {
        "auto_map": {"AutoModel": "evil.Model"},
        "_attn_implementation": "kernels-community/evil",
        "trust_remote_code": True,
        "d_model": 2**70,
        "num_layers": -1,
        "num_heads": 3,
        "vocab_size": 10**30,
        "max_seq_len": "64",
        "dropout": 1.5,
        "positions": "../../evil",
        "positions_options": [1],
        "tokenizer": "pickle",
        "learning_rate": 0,
        "preset": 3,
        "class_weights": {"a": -1},
        "num_classes": 3,
        "head_layers": [0],
        "seed": -1,
        "precision": "fp8",
    }.items():
        yield Case(
            "config", f"{key}={value!r}"[:60], document("config.json", lambda d, k=key, v=value: {**d, k: v}), True
        )
    for what, content in {
        "nested deep": b"[" * 100_000,
        "a deep value": b'{"positions_options": ' + b'{"a":' * 50_000,
        "NaN": b'{"dropout": NaN}',
        "infinity": b'{"dropout": Infinity}',
        "a huge number": b'{"dropout": 1e999}',
        "5,000 digits": b'{"seed": ' + b"9" * 5000 + b"}",
        "a key twice": b'{"dropout": 0.1, "dropout": 0.2}',
        "two documents": b"{}{}",
        "a byte order mark": b"\xef\xbb\xbf{}",
        "Latin-1": b'{"preset": "\xe9"}',
        "two megabytes": b'{"preset": "' + b"x" * 2**21 + b'"}',
        "a list": b"[]",
        "text": b'"small"',
    }.items():
        yield Case("config", what, put("config.json", content), sealed=True)


def label_files() -> Iterator[Case]:
    for what, value in {
        "one too many": ["bad", "good", "ugly"],
        "one too few": ["bad"],
        "twice": ["bad", "bad"],
        "empty": ["bad", ""],
        "blank": ["bad", "  "],
        "a number": ["bad", 1],
        "an object": {"0": "bad", "1": "good"},
        "null": None,
        "nested": [["bad"], ["good"]],
        "none": [],
    }.items():
        yield Case("labels", what, put("labels.json", json.dumps(value).encode()), sealed=True)
    for what, content in {"deep": b"[" * 100_000, "cut": b'["bad", "go', "Latin-1": b'["bad", "\xe9"]'}.items():
        yield Case("labels", what, put("labels.json", content), sealed=True)


def vocabularies() -> Iterator[Case]:
    def vocabulary(change: Callable[[dict[str, int]], dict[str, Any]]) -> Change:
        return document(
            "tokenizer.json", lambda d: {**d, "model": {**d["model"], "vocab": change(dict(d["model"]["vocab"]))}}
        )

    def renumbered(words: dict[str, int], number: Any) -> dict[str, Any]:
        return {**words, max(words, key=lambda word: words[word]): number}

    for what, number in {
        "a billion": 10**9,
        "negative": -1,
        "a half": 0.5,
        "text": "7",
        "taken": 5,
        "true": True,
    }.items():
        yield Case(
            "vocabulary", f"a number that is {what}", vocabulary(lambda w, n=number: renumbered(w, n)), sealed=True
        )
    for special in ("[PAD]", "[UNK]", "[CLS]", "[MASK]"):
        yield Case(
            "vocabulary", f"no {special}", vocabulary(lambda w, s=special: {k: v for k, v in w.items() if k != s}), True
        )
    for count in (1, 1000):
        yield Case(
            "vocabulary",
            f"{count} tokens too many",
            vocabulary(lambda w, c=count: w | {f"more{n}": len(w) + n for n in range(c)}),
            True,
        )
    yield Case(
        "vocabulary", "a token too few", vocabulary(lambda w: {k: v for k, v in w.items() if v < len(w) - 1}), True
    )
    yield Case("vocabulary", "none", vocabulary(lambda w: {}), sealed=True)
    for what, merges in {
        "unknown": [["zz", "qq"]],
        "three": [["a", "b", "c"]],
        "text": ["a b"],
        "numbers": [[1, 2]],
        "no list": "a",
    }.items():
        change = document("tokenizer.json", lambda d, m=merges: {**d, "model": {**d["model"], "merges": m}})
        yield Case("vocabulary", f"merges that are {what}", change, sealed=True)
    evil = {"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated", "invert": False}
    for key, value in {
        "pre_tokenizer": evil,
        "normalizer": {"type": "Replace", "pattern": {"Regex": "(a+)+$"}, "content": ""},
        "decoder": {"type": "Strip", "content": "a", "start": 1, "stop": 1},
        "post_processor": evil,
        "auto_map": "evil",
        "padding": {"strategy": {"Fixed": 10**9}},
        "truncation": {"max_length": 1},
        "added_tokens": [],
        "version": "9",
    }.items():
        yield Case(
            "vocabulary", f"another {key}", document("tokenizer.json", lambda d, k=key, v=value: {**d, k: v}), True
        )
    for key, value in {
        "type": "Unigram",
        "dropout": 0.5,
        "unk_token": "[MASK]",
        "byte_fallback": True,
        "evil": 1,
    }.items():
        change = document("tokenizer.json", lambda d, k=key, v=value: {**d, "model": {**d["model"], k: v}})
        yield Case("vocabulary", f"a model with another {key}", change, sealed=True)


def baselines() -> Iterator[Case]:
    for key, value in {
        "ngrams": ["a", "a"],
        "analyzer": {"ngram_range": [0, 9]},
        "evil": 1,
        "extra": None,
    }.items():
        yield Case("baseline", key, document("baseline.json", lambda d, k=key, v=value: {**d, k: v}), sealed=True)
    yield Case(
        "baseline",
        "a word too many",
        document("baseline.json", lambda d: {**d, "ngrams": [*d["ngrams"], "x y z"]}),
        True,
    )
    yield Case(
        "baseline",
        "a word too few",
        document("baseline.json", lambda d: {**d, "ngrams": d["ngrams"][:-1]}),
        sealed=True,
    )
    for size in range(1, 8):
        yield Case("baseline", f"{size} bytes of fingerprints", put("fingerprints.bin", bytes(size)), sealed=True)


def manifests() -> Iterator[Case]:
    def manifest(change: Callable[[dict[str, Any]], Any]) -> Change:
        return document("manifest.json", change)

    for what, value in {
        "newer": 2,
        "far newer": 10**9,
        "older": 0,
        "negative": -1,
        "text": "1",
        "none": None,
        "half": 1.5,
    }.items():
        yield Case("manifest", f"a format that is {what}", manifest(lambda d, v=value: {**d, "format": v}))
    for name in ("../../etc/passwd", "/etc/passwd", "evil.py", "model.onnx/../../x", "a\0b", "x" * 5000, ""):
        yield Case(
            "manifest", f"a file {name[:20]!r}", manifest(lambda d, n=name: {**d, "files": {**d["files"], n: "0" * 64}})
        )
    for name in FILES:
        if name != "familiarity.safetensors":  # a model without held-out texts has none
            yield Case(
                "manifest",
                f"no {name}",
                manifest(lambda d, n=name: {**d, "files": {k: v for k, v in d["files"].items() if k != n}}),
            )
        for what, value in {"none": None, "a number": 1, "short": "abc", "of zeros": "0" * 64}.items():
            yield Case(
                "manifest",
                f"{name}'s hash {what}",
                manifest(lambda d, n=name, v=value: {**d, "files": {**d["files"], n: v}}),
            )
    for what, content in {
        "nothing": b"",
        "a list": b"[]",
        "deep": b"[" * 100_000,
        "a key twice": b'{"format": 1, "format": 1, "scriptchain": "0", "files": {}}',
        "an unknown key": b'{"format": 1, "scriptchain": "0", "files": {}, "run": "rm"}',
        "two megabytes": b'"' + b"x" * 2**21 + b'"',
    }.items():
        yield Case("manifest", what, put("manifest.json", content))


# --- links and devices ----------------------------------------------------------------------------------------------


def odd(name: str, make: Callable[[Path, Path], Any]) -> Change:
    def change(folder: Path) -> None:
        path, outside = folder / name, folder.parent / f"outside-{name}"
        path.rename(outside)
        make(path, outside)

    return change


def links() -> Iterator[Case]:
    makes: dict[str, Callable[[Path, Path], Any]] = {
        "a link outside": lambda path, outside: path.symlink_to(outside),
        "a link to itself": lambda path, _: path.symlink_to(path.name),
        "a link to nothing": lambda path, _: path.symlink_to("nowhere"),
        "a hard link": lambda path, outside: os.link(outside, path),
        "a pipe": lambda path, _: os.mkfifo(path),
        "a folder": lambda path, _: path.mkdir(),
        "endless zeros": lambda path, _: path.symlink_to("/dev/zero"),
        "a relative link outside": lambda path, outside: path.symlink_to(f"../{outside.name}"),
    }
    for name in (*FILES, "manifest.json"):
        for what, make in makes.items():
            yield Case("links", f"{what} as {name}", odd(name, make))


# --- ONNX -----------------------------------------------------------------------------------------------------------


def graph(change: Callable[[Any], Any]) -> Change:
    def changed(content: bytes) -> bytes:
        model = onnx.load_from_string(content)
        return (change(model) or model).SerializeToString()

    return edit("model.onnx", changed)


def external(model: Any, place: str) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": place, "offset": "0", "length": "4"}.items():
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value


def graphs() -> Iterator[Case]:
    for place in ("/etc/passwd", "../outside", "model.safetensors", ""):
        yield Case("graph", f"external data at {place!r}", graph(lambda m, p=place: external(m, p)), sealed=True)

    def domain(model: Any) -> None:
        model.graph.node[0].domain = "com.evil"

    def imported(model: Any) -> None:
        model.opset_import.add(domain="com.evil", version=1)

    def huge(model: Any) -> None:
        model.graph.initializer[0].dims[:] = [2**31, 2**31]

    def negative(model: Any) -> None:
        model.graph.initializer[0].dims[:] = [-1, 4]

    def nothing(model: Any) -> None:
        del model.graph.node[:]

    def function(model: Any) -> None:
        made = helper.make_function("evil", "F", ["x"], ["y"], [helper.make_node("Identity", ["x"], ["y"])], [])
        model.functions.append(made)

    def not_a_number(model: Any) -> None:
        tensor = next(one for one in model.graph.initializer if len(one.dims) == 2)
        tensor.raw_data = struct.pack("<f", float("nan")) + tensor.raw_data[4:]

    def infinite(model: Any) -> None:
        tensor = next(one for one in model.graph.initializer if len(one.dims) == 2)
        tensor.raw_data = struct.pack("<f", float("inf")) + tensor.raw_data[4:]

    def branch(model: Any) -> None:
        inner = helper.make_graph([helper.make_node("Identity", ["logits"], ["out"])], "g", [], [])
        model.graph.node.append(helper.make_node("If", ["mask"], ["z"], then_branch=inner, else_branch=inner))

    def renamed(model: Any) -> None:
        model.graph.output[0].name = "evil"

    def another_input(model: Any) -> None:
        model.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, [1]))

    def rows(model: Any) -> None:
        tensor = next(one for one in model.graph.initializer if one.name == "encoder.tokens.weight")
        size = len(tensor.raw_data) // tensor.dims[0]
        tensor.raw_data, tensor.dims[0] = tensor.raw_data[:-size], tensor.dims[0] - 1

    def sparse(model: Any) -> None:
        model.graph.sparse_initializer.add()

    def training(model: Any) -> None:
        model.training_info.add()

    def short(model: Any) -> None:
        model.graph.initializer[0].raw_data = model.graph.initializer[0].raw_data[:-4]

    def strings(model: Any) -> None:
        model.graph.initializer[0].data_type = TensorProto.STRING

    def without_embedding(model: Any) -> None:
        next(one for one in model.graph.initializer if one.name == "encoder.tokens.weight").name = "gone"

    def unknown_operator(model: Any) -> None:
        model.graph.node[0].op_type = "Evil"

    def metadata(model: Any) -> None:
        model.metadata_props.add(key="ep_cache_context", value="/etc/passwd")

    def another_graph(model: Any) -> None:
        del model.graph.output[:]

    for change in (domain, imported, huge, negative, nothing, function, not_a_number, infinite, branch, renamed,
                   another_input, rows, sparse, training, short, strings, without_embedding, unknown_operator, metadata,
                   another_graph):  # fmt: skip
        yield Case("graph", change.__name__.replace("_", " "), graph(change), sealed=True)
    for what, content in {
        "an endless number": b"\xff" * 20,
        "a length beyond the end": b"\x3a\xff\xff\xff\xff\x0f",
        "an unknown wire type": b"\x0f",
        "no model": onnx.ModelProto().SerializeToString() + b"\x08\x0a",
    }.items():
        yield Case("graph", what, put("model.onnx", content), sealed=True)


def cases(seed: int = 0) -> list[Case]:
    found: list[Case] = []
    for family in (truncated(), extended(), flipped(random.Random(seed)), missing(), swapped(), headers(), configs(),
                   label_files(), vocabularies(), baselines(), manifests(), links(), graphs()):  # fmt: skip
        found += family
    return found


# --- the oracle -----------------------------------------------------------------------------------------------------


def load_everything(folder: Path) -> None:
    """All that any command reads of a run folder."""
    from scriptchain.runtime.describe import describe
    from scriptchain.runtime.session import Session

    session = Session(folder, threads=1)
    session.probabilities(["the food was good"])
    session.baseline_logits(["the food was good"])
    session.saw(["the food was good"])
    assert session.held_out is not None
    session.held_out(np.zeros((1, 2)), [0.0])
    describe(folder)


class Watch:
    """What the interpreter does while `on`: code that is run, sockets, processes, and files outside `folder`."""

    def __init__(self) -> None:
        self.folder, self.seen = "", list[str]()
        sys.addaudithook(self.hook)

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.folder:
            return
        kind = event.split(".")[0]
        runs = kind in ("exec", "compile", "import", "socket", "subprocess", "pickle", "ctypes", "marshal")
        runs = runs or event in ("os.system", "os.exec", "os.posix_spawn", "os.fork", "code.__new__")
        path = str(arguments[0]) if event == "open" and arguments else ""
        if runs or (event == "open" and not path.startswith(self.folder)):
            self.seen.append(f"{event} {arguments!r}"[:200])


@dataclass(frozen=True)
class Verdict:
    case: Case
    wrong: str
    seconds: float


def tried(case: Case, good: Path, watch: Watch, load: Callable[[Path], None] = load_everything) -> Verdict:
    """Whether loading refuses the case in one line, and does nothing else."""
    from scriptchain.errors import ModelError

    with tempfile.TemporaryDirectory(prefix="bundles-") as place:
        folder = Path(place) / "run"
        shutil.copytree(good, folder)
        case.change(folder)
        if case.sealed:
            seal(folder)
        wrong, start = "it was accepted", time.process_time()
        watch.folder, watch.seen = str(folder), []
        try:
            load(folder)
        except ModelError as error:
            wrong = "" if "\n" not in str(error) and len(str(error)) < 1_000 else f"not one line: {str(error)[:80]!r}"
        except Exception as error:
            wrong = f"{type(error).__name__}: {error}"
        finally:
            watch.folder = ""
        return Verdict(case, wrong or "; ".join(watch.seen), time.process_time() - start)


def peak() -> int:
    """The most memory that this process ever held, in bytes."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    good, all_cases = Path(sys.argv[1]).resolve(), cases()
    if len(sys.argv) > 2:
        random.Random(1).shuffle(all_cases)
        all_cases = all_cases[: int(sys.argv[2])]
    load_everything(good)  # what is imported late is imported now
    watch, before, families = Watch(), peak(), dict[str, list[Verdict]]()
    for case in all_cases:
        families.setdefault(case.family, []).append(tried(case, good, watch))
    for family, verdicts in sorted(families.items()):
        print(f"{family}: {len(verdicts)} cases, {sum(bool(one.wrong) for one in verdicts)} wrong")  # noqa: T201
    flat = [one for verdicts in families.values() for one in verdicts]
    for one in flat:
        if one.wrong:
            print(f"  {one.case.family}, {one.case.what}: {one.wrong}")  # noqa: T201
    summary = {
        "cases": len(flat), "families": len(families), "wrong": sum(bool(one.wrong) for one in flat),
        "longest": round(max(one.seconds for one in flat), 2), "peak": peak(), "peak_before": before,
        "folder": sum(path.stat().st_size for path in good.iterdir() if path.is_file()),
    }  # fmt: skip
    print(json.dumps(summary))  # noqa: T201
    sys.exit(summary["wrong"] > 0)


if __name__ == "__main__":
    main()
