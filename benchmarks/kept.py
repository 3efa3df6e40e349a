"""Comparisons whose every run is kept in a folder, so that it is done once."""

import sys
from pathlib import Path

from scriptchain import bench
from scriptchain.report import Report


def compared(rows: bench.Rows, arms: list[bench.Arm], plan: bench.Plan, folder: Path) -> tuple[Report, bench.Pool]:
    """The report of all arms, and the pool that holds their runs. Progress goes to stderr, with the folder's name."""
    folder.mkdir(parents=True, exist_ok=True)
    pool = bench.Pool(folder, rows.digest)

    def tell(line: str) -> None:
        print(f"{folder.name}: {line}", file=sys.stderr, flush=True)

    return bench.compare(rows, arms, pool, plan, tell), pool
