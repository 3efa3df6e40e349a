"""What a command leaves running."""

import time
from pathlib import Path


def left_behind(session: int, seconds: float = 20) -> list[str]:
    """The processes of a session that still run after so long, none as soon as there are none."""
    deadline = time.monotonic() + seconds
    while (found := _members(session)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def _members(session: int) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, owner = path.read_text().rsplit(")", 1)[1].split()[:4]
        except OSError:
            continue
        if int(owner) == session and state != "Z":
            found.append(path.parent.name)
    return found
