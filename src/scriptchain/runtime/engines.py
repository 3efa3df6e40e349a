"""Where chunks of rows are answered: in this process, in several, or on a Ray cluster. The answers are the same bytes.

An engine takes the work as it comes and gives it back in the same order, each with its lines. It reads no further ahead
than it needs to keep everybody busy, and where reading fails it answers what was read before it says so.
"""

import logging
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, redirect_stdout
from typing import Any, NamedTuple

from ..errors import MissingExtraError, ModelError, ResourceError, ScriptChainError, first_line
from .lines import Asked, Given, Lines, Scorer

AHEAD = 2  # chunks that lie ready for each worker
RETRIES = 3  # of a chunk whose worker died


class Work(NamedTuple):
    """A chunk of rows; `ticket` is whose they are. Work without rows only holds its place in the order."""

    ticket: Any
    rows: Sequence[Given]
    form: str = "json"
    first: bool = False


Run = Callable[[Iterable[Work]], Iterator[tuple[Work, Lines]]]
NOTHING = Lines(b"", 0, "")


class Engine(NamedTuple):
    """`run` answers; `scorer` is this process's own, which loaded the model and found it good."""

    run: Run
    scorer: Scorer


Maker = Callable[[str, int | None, Asked], AbstractContextManager[Engine]]


@contextmanager
def here(model: str, threads: int | None, asked: Asked) -> Iterator[Engine]:
    """This process alone. Raises as Scorer."""
    scorer = Scorer(model, threads, asked)
    yield Engine(lambda works: ((work, scorer(*work[1:]) if work.rows else NOTHING) for work in works), scorer)


def processes(count: int) -> Maker:
    """So many processes of this machine."""

    @contextmanager
    def engine(model: str, threads: int | None, asked: Asked) -> Iterator[Engine]:
        """Raises as Scorer, and ResourceError where a process of them is killed."""
        from concurrent.futures import ProcessPoolExecutor
        from concurrent.futures.process import BrokenProcessPool
        from multiprocessing import get_context

        scorer = Scorer(model, threads, asked)  # what is wrong with the model is said here, once
        # `spawn`, for onnxruntime's threads do not survive a fork.
        pool = ProcessPoolExecutor(count, get_context("spawn"), _begin, (model, threads or 1, asked))
        try:
            run = _in_order(lambda work: pool.submit(_answer, *work[1:]), lambda future: future.result(), count)
            yield Engine(run, scorer)
        except BrokenProcessPool:
            raise ResourceError(
                "a process that answers was killed, perhaps for want of memory",
                hint="the same command with --resume, and fewer --processes",
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)

    return engine


def ray(count: int | None) -> Maker:
    """So many actors, by default one a core, of the Ray cluster that RAY_ADDRESS names, or of one on this machine."""

    @contextmanager
    def engine(model: str, threads: int | None, asked: Asked) -> Iterator[Engine]:
        """A worker that dies is started again and asked again. Raises as Scorer, ResourceError, MissingExtraError."""
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # it would tell its makers
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # it would warn of its own future
        try:
            import ray
            from ray.exceptions import RayError
        except ImportError:
            raise MissingExtraError("--engine ray (ray)", "ray") from None
        scorer = Scorer(model, threads, asked)
        with redirect_stdout(sys.stderr):  # where Ray would tell of workers that died, between the answers
            try:
                ray.init(log_to_driver=False, logging_level=logging.ERROR, include_dashboard=False)
            except (ConnectionError, RuntimeError, ValueError) as error:
                raise ResourceError(
                    f"a Ray cluster must answer, got {first_line(error)}",
                    hint="leave RAY_ADDRESS out for one on this machine",
                ) from None
            try:
                cores = max(1, int(ray.cluster_resources().get("CPU", 1)))
                wanted = min(count or cores, cores)  # an actor that finds no place would be waited for
                kind: Any = ray.remote(num_cpus=1, max_restarts=-1, max_task_retries=RETRIES)(Scorer)
                actors = deque(kind.remote(os.path.abspath(model), threads or 1, asked) for _ in range(wanted))

                def submit(work: Work) -> Any:
                    actors.rotate(-1)
                    return actors[-1].__call__.remote(*work[1:])

                yield Engine(_in_order(submit, ray.get, wanted), scorer)
            except RayError as error:
                cause = getattr(error, "cause", None)
                if isinstance(cause, ScriptChainError):
                    raise cause from None
                raise ModelError(
                    f"every Ray worker must load and run {model}, got {first_line(error)}",
                    hint="put the model where all machines of the cluster see it",
                ) from None
            finally:
                ray.shutdown()

    return engine


def _in_order(submit: Callable[[Work], Any], result: Callable[[Any], Lines], workers: int) -> Run:
    def run(works: Iterable[Work]) -> Iterator[tuple[Work, Lines]]:
        waiting: deque[tuple[Work, Any]] = deque()
        fault: Exception | None = None
        coming = iter(works)
        while True:
            try:
                work = next(coming)
            except StopIteration:
                break
            except Exception as error:
                fault = error
                break
            waiting.append((work, submit(work) if work.rows else None))
            while len(waiting) > AHEAD * workers:
                work, asked = waiting.popleft()
                yield work, NOTHING if asked is None else result(asked)
        for work, asked in waiting:
            yield work, NOTHING if asked is None else result(asked)
        if fault is not None:
            raise fault

    return run


# --- in a process of its own ---------------------------------------------------------------------------------

_scorer: Scorer


def _begin(model: str, threads: int, asked: Asked) -> None:
    """What a worker does first: it leaves Ctrl-C to its parent, and does not outlive it."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    follow_parent()
    global _scorer
    _scorer = Scorer(model, threads, asked)


def follow_parent() -> None:
    """Ends this process of a pool when the one that started it is no more; a pool alone would wait for work forever."""
    import threading
    from multiprocessing import parent_process

    parent = parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(0)

    threading.Thread(target=follow, daemon=True).start()


def _answer(rows: Sequence[Given], form: str, first: bool) -> Lines:
    return _scorer(rows, form, first)
