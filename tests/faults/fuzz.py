"""Bytes that nobody foresaw for the four parsers of what comes from outside: only errors of ours may come out.

usage: python tests/faults/fuzz.py [PARSER ...] [--seconds N | --inputs N] [--seed N] [--plant]
PARSER: records, config, manifest, tokenizer; by default all. Inputs are bred by coverage (atheris, libFuzzer) from
valid documents. What a parser takes must hold its own laws. Prints one JSON line; exit 1 if any input broke one.
`--plant` puts a fault into each parser that must be found.
"""

import argparse
import copy
import difflib
import gzip
import json
import random
import re
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import atheris

bred = atheris.instrument_imports(include=["scriptchain", "json", "csv", "tomllib"])
with bred if "--child" in sys.argv else nullcontext():
    from scriptchain import config as configs
    from scriptchain.data import files, records
    from scriptchain.data.tokenizer import Tokenizer
    from scriptchain.errors import ScriptChainError
    from scriptchain.runtime import bundle, documents

FORMATS = ("a.csv", "a.tsv", "a.jsonl", "a.csv.gz", "a.txt")
CONFIG = configs.resolve("small", settings=["num_classes=2", "tokenizer=word"])
FOLDER = Path()  # each child stands in a folder of its own


# --- what each parser does with bytes, and what must hold of what it takes ----------------------------------------


def of_records(data: bytes) -> None:
    """The first byte chooses the kind of file."""
    choice, data = data[:1] or b"\0", data[1:]
    path = FOLDER / FORMATS[choice[0] % len(FORMATS)]
    path.write_bytes(data)
    encoding = ("utf-8", "latin-1", "utf-16")[choice[0] // len(FORMATS) % 3]
    for row in records.rows(path, encoding=encoding, plain=True):
        if isinstance(row, records.Row):
            assert row.text.strip()
            row.text.encode()  # no half characters
            assert row.label is None or row.label.strip()
            assert row.line >= 1
        else:
            assert "\n" not in row.message


def of_config(data: bytes) -> None:
    """As TOML and as a run folder's document; what is taken is written again as it was."""
    path = FOLDER / "config.toml"
    if data[:1] == b"{":
        values = documents.parsed(data, "config.json", bundle.DOCUMENT)
        made = configs.make(values) if isinstance(values, dict) else None
    else:
        path.write_bytes(data)
        made = configs.resolve(file=path)
    if made is not None:
        path.write_text(configs.to_toml(made), encoding="utf-8")
        assert configs.resolve(file=path) == made


def of_manifest(data: bytes) -> None:
    (FOLDER / "manifest.json").write_bytes(data)
    found = bundle.Bundle(FOLDER)
    assert found.manifest.format == bundle.FORMAT
    assert set(found.manifest.files) <= set(bundle.FILES)
    assert not hasattr(found, "run")


def of_tokenizer(data: bytes) -> None:
    tokenizer = bundle.tokenizer_from(data, CONFIG)
    for ids in tokenizer.encode(["the food was not good", "猫 🙂", ""]).ids:
        assert len(ids)
        assert 0 <= ids.min() <= ids.max() < tokenizer.vocab_size


PARSERS: dict[str, Callable[[bytes], None]] = {
    "records": of_records, "config": of_config, "manifest": of_manifest, "tokenizer": of_tokenizer,
}  # fmt: skip


# --- where inputs come from ---------------------------------------------------------------------------------------


def valid(parser: str) -> list[bytes]:
    """A few documents that the parser takes."""
    if parser == "records":
        table, lines = (
            b'text,label\n"a, ""b""",c\nd e,f\n',
            b'{"text": "a b", "label": "c"}\n{"text": "\\ud83d\\ude42"}\n',
        )
        return [b"\0" + table, b"\1" + table.replace(b",", b"\t"), b"\2" + lines, b"\3" + gzip.compress(table),
                b"\4words\n", b"\5" + table, b"\x0a" + table.decode().encode("utf-16")]  # fmt: skip
    if parser == "config":
        presets = [configs.preset_text(name).encode() for name in configs.preset_names()]
        options = b'positions = "learned+rope"\npositions_options = {rope = {base = 50}}\nclass_weights = {"a.b" = 2}\n'
        return [*presets, options, json.dumps(configs.to_dict(CONFIG)).encode()]
    if parser == "manifest":
        return [
            json.dumps({"format": 1, "scriptchain": "0.1", "files": dict.fromkeys(bundle.FILES, "0" * 64)}).encode()
        ]
    texts = ["the food was not good", "the wine was"]
    made = Tokenizer.train(texts, kind="word", vocab_size=300, min_frequency=1, lowercase=True, max_seq_len=8)
    return [json.dumps(json.loads(made.to_json())).encode()]


WORDS = {
    "records": ['"text"', '"label"', '""', '{"', "NaN", "1e999", "\0", "\r", "\\ud800", "\u2028", "\ufeff", "[[[["],
    "config": [*configs.KEYS, "true", "nan", "inf", "1e308", "'''", "[[", "0x", "1979-05-27", "null", "\\ud800"],
    "manifest": ['"format"', '"files"', "NaN", "1e999", "[[[[", "../", "config.json", "\\ud800"],
    "tokenizer": ['"vocab"', '"model"', '"added_tokens"', '"normalizer"', "[PAD]", "[UNK]", "1e999", "-1", "[[[["],
}  # fmt: skip


ODD: list[Any] = [
    None,
    True,
    -1,
    0,
    1,
    2**31,
    2**64,
    1e308,
    0.5,
    "",
    "[UNK]",
    "\ud800",
    "../a",
    "\n",
    [],
    {},
    [[]],
    {"": 0},
]


def mutated(data: bytes, size: int, seed: int) -> bytes:
    """Half of the time bytes, half of the time, of a JSON document, one of its values or keys."""
    rng = random.Random(seed)
    try:
        document = json.loads(data) if rng.random() < 0.5 else None
    except (ValueError, RecursionError):
        document = None
    places = list(inner(document))
    if not places:
        return atheris.Mutate(data, size)
    holder, key = rng.choice(places)
    action = rng.randrange(4)
    if action == 0:
        del holder[key]
    elif action == 1 and isinstance(holder, dict):
        holder[rng.choice([*map(str, ODD), *holder])] = holder.pop(key)
    elif action == 2:
        other, name = rng.choice(places)
        holder[key] = copy.deepcopy(other[name])
    else:
        holder[key] = rng.choice(ODD)
    return json.dumps(document).encode()[:size]


def inner(document: Any) -> Iterator[tuple[Any, Any]]:
    """Each place of a value in lists and tables, as the holder and the key."""
    keys = list(document) if isinstance(document, dict) else range(len(document)) if isinstance(document, list) else ()
    for key in keys:
        yield document, key
        yield from inner(document[key])


# --- one parser, in a process of its own ----------------------------------------------------------------------------


def child(parser: str, planted: bool, arguments: list[str]) -> None:
    if planted:  # faults of the kind that review overlooks
        files._json_fault = lambda error: error.colno
        configs._nearest = lambda name, known, what: difflib.get_close_matches(name, known, n=1)[0]
        documents._refuse = {}.__getitem__
    call = PARSERS[parser]

    def one(data: bytes) -> None:
        try:
            call(data)
        except ScriptChainError as error:
            if "\n" in str(error) or error.exit_code not in (2, 3, 4, 5):
                raise AssertionError("not one line with its exit code") from error

    custom = {} if parser == "records" else {"custom_mutator": mutated}
    atheris.Setup([sys.argv[0], *arguments], one, **custom)
    atheris.Fuzz()


def fuzzed(parser: str, options: argparse.Namespace) -> dict:
    """Inputs, CPU seconds, edges seen, and the input that broke a law, if any."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as work:
        corpus = Path(work, "corpus")
        corpus.mkdir()
        for number, document in enumerate(valid(parser)):
            (corpus / str(number)).write_bytes(document)
        words = ("".join(f"\\x{byte:02x}" for byte in word.encode()) for word in WORDS[parser])
        Path(work, "words").write_text("".join(f'"{word}"\n' for word in words))
        limit = f"-runs={options.inputs}" if options.inputs else f"-max_total_time={options.seconds}"
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        done = subprocess.run(
            [sys.executable, Path(__file__).resolve(), "--child", parser, *["--plant"] * options.plant, "--", limit,
             f"-seed={options.seed + 1}", "-max_len=8192", "-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1",
             f"-dict={work}/words", f"-artifact_prefix={work}/", str(corpus)],
            capture_output=True, text=True, errors="replace", cwd=work,
        )  # fmt: skip
        broken = [path.read_bytes() for path in Path(work).glob("*-*") if path.is_file()]
        inputs = re.search(r"number_of_executed_units: (\d+)", done.stderr)
        edges = re.findall(r"cov: (\d+)", done.stderr)
        found = {
            "inputs": int(inputs[1]) if inputs else 0, "edges": int(edges[-1]) if edges else 0,
            "cpu_seconds": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before, 1),
        }  # fmt: skip
        if done.returncode:
            said = re.search(r"=== Uncaught Python exception: ===\n(.*)", done.stdout + done.stderr)
            found["broken"] = repr(broken[0][:300]) if broken else ""
            found["said"] = said[1] if said else done.stderr[-2000:]
        return found


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("parsers", nargs="*")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--inputs", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plant", action="store_true")
    parser.add_argument("--child")
    end = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    options = parser.parse_args(sys.argv[1:end])
    if options.child:
        child(options.child, options.plant, sys.argv[end + 1 :])
        return 0
    found = {name: fuzzed(name, options) for name in options.parsers or PARSERS}
    print(json.dumps(found))  # noqa: T201
    return int(any("broken" in one for one in found.values()))


if __name__ == "__main__":
    sys.exit(main())
