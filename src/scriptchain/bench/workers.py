"""Trainings in processes of their own, a core each; a process that is killed costs its run, which is done again."""

import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool

from ..errors import ResourceError
from .arms import Arm
from .pool import Run
from .rows import Rows, Unit

ATTEMPTS = 3
Job = tuple[Arm, Unit]
_rows: Rows | None = None


def run_all(
    jobs: Iterable[Job],
    rows: Rows,
    seed: int,
    workers: int,
    stop: Callable[[], bool] = lambda: False,
    device: str = "cpu",
) -> Iterator[Run]:
    """Each job's run, as they end; after `stop()` no other is begun.

    *Raises*: ResourceError where processes die again and again.
    """
    waiting = list(jobs)
    if workers == 1:
        from .single import train

        for arm, unit in waiting:
            if stop():
                return
            yield train(arm, unit, rows, seed, device)
        return
    died = 0
    while waiting and not stop():
        with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _begin, (rows,)) as executor:
            running: dict[Future[Run], Job] = {}
            try:
                while (waiting and not stop()) or running:
                    while waiting and len(running) < workers and not stop():
                        arm, unit = waiting[0]
                        running[executor.submit(_train, arm, unit, seed, device)] = waiting.pop(0)
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        run = future.result()
                        del running[future]
                        yield run
            except BrokenProcessPool:
                waiting = [*running.values(), *waiting]
                died += 1
                if died == ATTEMPTS:
                    raise ResourceError(
                        f"processes were killed {ATTEMPTS} times, got no further than {waiting[0][0].name}",
                        hint="--workers 1, or more memory",
                    ) from None


def _begin(rows: Rows) -> None:
    global _rows
    from ..runtime.engines import follow_parent
    from .single import one_thread

    follow_parent()
    one_thread()
    _rows = rows


def _train(arm: Arm, unit: Unit, seed: int, device: str) -> Run:
    from .single import train

    assert _rows is not None
    return train(arm, unit, _rows, seed, device)
