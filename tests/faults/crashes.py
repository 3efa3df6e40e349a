"""Every system call of a save, failed one at a time: killed at it, or told that the disk is full or broken.

usage: python tests/faults/crashes.py [SCENARIO ...] [--plant FAULT]
prints a line a scenario and a JSON document at the end; a planted fault must be found

A scenario prepares a folder, acts on it in a child process, and says what must be true of the folder afterwards. For
each kind of call that changes something, and for every N, the child runs under `strace -e inject` with a fault at its
Nth such call, until N is beyond the last. Needs Debian's strace.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

CALLS = (
    "openat",
    "write",
    "pwrite64",
    "ftruncate",
    "fsync",
    "rename",
    "renameat2",
    "unlink",
    "unlinkat",
    "rmdir",
    "mkdir",
)
FAULTS = {"killed": "signal=SIGKILL", "full": "error=ENOSPC", "broken": "error=EIO"}
DONE, REFUSED, BUG = 0, 5, 1  # what a child says of itself: done, an error of ours, anything else


@dataclass(frozen=True)
class Scenario:
    """`check(folder, done)` raises AssertionError where something was lost; `done` means that the child said it is."""

    name: str
    prepare: Callable[[Path], None]
    act: Callable[[Path], None]
    check: Callable[[Path, bool], None]


@dataclass(frozen=True)
class Point:
    """A fault at the Nth call of a kind, and what came of it: a line for what is wrong, or nothing."""

    call: str
    fault: str
    number: int
    wrong: str


def child(scenario: Scenario, folder: Path, tracer: list[str]) -> tuple[int | None, str]:
    """The action in a forked process under strace: its exit code (None: killed) and what it printed to stderr."""
    ready, go = os.pipe()
    with tempfile.TemporaryFile() as said:
        pid = os.fork()
        if pid == 0:
            _act(scenario, folder, ready, go, said.fileno())
        os.close(ready)
        with subprocess.Popen([*tracer, "-f", "-p", str(pid)], stderr=subprocess.PIPE, text=True) as strace:
            assert strace.stderr is not None
            line = strace.stderr.readline()
            if "attached" not in line:
                os.kill(pid, signal.SIGKILL)
                raise RuntimeError(f"strace did not attach: {line.strip()}")
            os.write(go, b"x")
            os.close(go)
            _, status = os.waitpid(pid, 0)
            strace.stderr.read()
        said.seek(0)
        code = os.waitstatus_to_exitcode(status)
        return (None if code == -signal.SIGKILL else code), said.read().decode(errors="replace")


def _act(scenario: Scenario, folder: Path, ready: int, go: int, said: int) -> NoReturn:
    code = BUG
    try:
        os.close(go)
        os.dup2(said, 2)
        os.read(ready, 1)  # until the tracer is there
        scenario.act(folder)
        code = DONE
    except OSError:
        code = REFUSED
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def counted(scenario: Scenario) -> tuple[dict[str, int], list[str]]:
    """How often the action makes each call, and the lines of its trace."""
    with fresh(scenario) as folder, tempfile.NamedTemporaryFile() as log:
        tracer = ["strace", "-y", "-e", f"trace={','.join(CALLS)}", "-o", log.name]
        code, said = child(scenario, folder, tracer)
        assert code == DONE, said
        scenario.check(folder, True)
        lines = Path(log.name).read_text().splitlines()
        found = [re.match(r"(?:\d+ +)?(\w+)\(", line) for line in lines]
        names = [one[1] for one in found if one]
        return {call: names.count(call) for call in CALLS if call in names}, lines


class fresh:  # noqa: N801 - reads as a word
    """A folder in which the scenario is prepared."""

    def __init__(self, scenario: Scenario):
        self.scenario = scenario

    def __enter__(self) -> Path:
        self.folder = Path(tempfile.mkdtemp(prefix="crashes-"))
        self.scenario.prepare(self.folder)
        return self.folder

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def points(scenario: Scenario, faults: dict[str, str] = FAULTS) -> Iterator[Point]:
    """Every fault at every call, with what it did."""
    calls, _ = counted(scenario)
    for call, count in calls.items():
        for fault, injection in faults.items():
            for number in range(1, count + 1):
                with fresh(scenario) as folder:
                    yield Point(call, fault, number, _struck(scenario, folder, call, fault, injection, number))


def _struck(scenario: Scenario, folder: Path, call: str, fault: str, injection: str, number: int) -> str:
    tracer = ["strace", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:{injection}:when={number}"]
    code, said = child(scenario, folder, tracer)
    if code == BUG:
        return f"a traceback: {said.splitlines()[-1] if said else '?'}"
    if fault == "killed" and code is not None:
        return f"it was not killed, but ended with {code}"
    try:
        scenario.check(folder, code == DONE)
    except AssertionError as lost:
        return str(lost).splitlines()[0] if str(lost) else "lost"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def unflushed(lines: list[str]) -> list[str]:
    """What a trace renames before it is on the disk, or leaves without a flush of its folder.

    A file that is renamed must have had its last write before its last fsync, and the folder it lands in must have one
    afterwards: SIGKILL cannot show that, since the system's own memory outlives a process.
    """
    wrong = []
    place = r'(?:AT_FDCWD[^,]*, )?"([^"]+)"'
    for at, line in enumerate(lines):
        named = re.search(rf"rename(?:at2)?\({place}, {place}.* = 0", line)
        if named is None:
            continue
        source, target = named.groups()

        def calls(name: str, path: str, start: int, end: int) -> list[int]:
            return [n for n in range(start, end) if re.search(rf"\b{name}\(\d+<{re.escape(path)}[/>]", lines[n])]

        writes, flushes = calls("p?write(?:64)?", source, 0, at), calls("fsync", source, 0, at)
        if max(flushes, default=-1) < max(writes, default=0):
            wrong.append(f"{Path(source).name} is renamed before it is on the disk")
        if not calls("fsync", str(Path(target).parent), at, len(lines)):
            wrong.append(f"the folder of {Path(target).name} is not flushed after the rename")
    return wrong


# --- scenarios ------------------------------------------------------------------------------------------------------


def checkpoint() -> Scenario:
    """A third checkpoint beside two, and a fourth that drives the first out."""
    import torch

    from scriptchain import config
    from scriptchain.training.average import Average
    from scriptchain.training.best import Best
    from scriptchain.training.checkpoint import Checkpoints
    from scriptchain.training.optimizer import make_optimizer
    from scriptchain.training.state import State

    torch.set_num_threads(1)
    made = config.resolve("seed", overrides={"weight_average": 0.0})

    def state(step: int) -> State:
        network = torch.nn.Linear(64, 64)
        with torch.no_grad():
            for part in network.parameters():
                part.fill_(float(step))
        one = State(network, make_optimizer(network, made), Average(network, 0.0), Best(0))
        one.at.step = step
        return one

    def prepare(folder: Path) -> None:
        kept = Checkpoints(folder / "kept", {"job": 1})
        for step in (1, 2, 3):
            kept.save(state(step))

    def act(folder: Path) -> None:
        Checkpoints(folder / "kept", {"job": 1}).save(state(4))

    def check(folder: Path, done: bool) -> None:
        found = state(0)
        assert Checkpoints(folder / "kept", {"job": 1}).restore(found), "no checkpoint is left"
        step = found.at.step
        assert step in ((4,) if done else (3, 4)), f"step {step} came back"
        assert all(
            float(part.detach().min()) == float(part.detach().max()) == step for part in found.network.parameters()
        )
        strays = [path.name for path in (folder / "kept").iterdir() if path.name.endswith(".tmp")]
        assert not strays, f"left behind: {strays}"

    return Scenario("checkpoint", prepare, act, check)


def export() -> Scenario:
    """A run folder that takes the place of another."""
    from scriptchain import durable
    from scriptchain.runtime import bundle

    def files(version: int) -> dict[str, bytes]:
        return {name: f"{name} {version}".encode() * 50 for name in ("config.json", "labels.json", "model.onnx")}

    def build(folder: Path, version: int) -> Path:
        folder.mkdir()
        bundle.write(folder, files(version))
        return folder

    def prepare(folder: Path) -> None:
        build(folder / "model", 1)

    def act(folder: Path) -> None:
        durable.publish(build(folder / "new", 2), folder / "model")

    def check(folder: Path, done: bool) -> None:
        there = bundle.Bundle(folder / "model")
        contents = {name: there.read(name) for name in there.manifest.files}
        assert contents == files(2) or (not done and contents == files(1)), "neither the old nor the new folder"

    return Scenario("export", prepare, act, check)


def bulk() -> Scenario:
    """Answers of three chunks, of which the first is there; whatever happens, the next run ends at the same bytes."""
    from scriptchain.runtime.unfinished import Count, Unfinished

    chunks = [[f"text {number} of {chunk}" for number in range(3)] for chunk in range(3)]

    def answer(texts: list[str]) -> bytes:
        return "".join(f"{text},label\n" for text in texts).encode()

    def run(folder: Path, count: int) -> None:
        with Unfinished(folder / "out", {"job": 1}, resume=True, force=False) as growing:
            for chunk in chunks[:count]:
                if (claim := growing.claim(chunk)) is not None:
                    growing.append(claim, answer(chunk), Count(len(chunk)))
            if count < len(chunks):
                raise KeyboardInterrupt
            growing.finish()

    def prepare(folder: Path) -> None:
        with suppress(KeyboardInterrupt):
            run(folder, 1)

    def check(folder: Path, done: bool) -> None:
        whole = b"".join(map(answer, chunks))
        there = (folder / "out").exists()
        assert there or not done, "it said that it is done"
        if not there:
            run(folder, len(chunks))
        assert (folder / "out").read_bytes() == whole, "rows are lost or doubled"

    return Scenario("bulk", prepare, lambda folder: run(folder, len(chunks)), check)


# --- planted faults -------------------------------------------------------------------------------------------------


def no_fsync() -> None:
    os.fsync = lambda handle: None  # type: ignore[assignment]


def no_rename() -> None:
    from scriptchain import durable

    durable.publish = lambda folder, path: shutil.copytree(folder, path, dirs_exist_ok=True)  # type: ignore[assignment]


def old_ones_first() -> None:
    from scriptchain.training.checkpoint import Checkpoints

    save = Checkpoints.save

    def forgetful(kept: Checkpoints, state: object) -> None:
        for path in kept._files():
            path.unlink()
        save(kept, state)  # type: ignore[arg-type]

    Checkpoints.save = forgetful  # type: ignore[method-assign]


def counted_first() -> None:
    """The state says that a chunk is there before it is."""
    from scriptchain import durable
    from scriptchain.runtime import unfinished

    append = unfinished.Unfinished.append

    def hasty(growing: unfinished.Unfinished, claim: unfinished.Claim, *rest: object) -> None:
        at = growing._at
        ahead = unfinished._At(at.job, claim.number, at.bytes, claim.texts)
        durable.write(growing.folder / "state.json", unfinished.msgspec.json.encode(ahead))
        append(growing, claim, *rest)  # type: ignore[arg-type]

    unfinished.Unfinished.append = hasty  # type: ignore[method-assign]


PLANTS = {"no_fsync": no_fsync, "no_rename": no_rename, "old_ones_first": old_ones_first,
          "counted_first": counted_first}  # fmt: skip
SCENARIOS = {"checkpoint": checkpoint, "export": export, "bulk": bulk}


def main() -> None:
    names = sys.argv[1:]
    if "--plant" in names:
        PLANTS[names.pop()]()
        names.remove("--plant")
    summary = {}
    for name in names or SCENARIOS:
        scenario = SCENARIOS[name]()
        found = list(points(scenario))
        wrong = [point for point in found if point.wrong] + [("trace", one) for one in unflushed(counted(scenario)[1])]
        kinds = {call: sum(point.call == call for point in found) for call in CALLS}
        summary[name] = {"points": len(found), "calls": kinds, "wrong": [str(one) for one in wrong]}
        print(f"{name}: {len(found)} points, {len(wrong)} wrong", flush=True)  # noqa: T201
        for one in wrong:
            print(f"  {one}", flush=True)  # noqa: T201
    print(json.dumps(summary))  # noqa: T201
    sys.exit(any(one["wrong"] for one in summary.values()))


if __name__ == "__main__":
    main()
