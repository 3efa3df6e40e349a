"""What a refused command may leave behind: its line and its exit code, and nothing else."""

import os
from pathlib import Path

from scriptchain.__main__ import run


def tree(folder: Path) -> dict[str, str | bytes | None]:
    """What stands in the folder, links followed nowhere; None for what has no content of its own."""

    def content(path: Path) -> str | bytes | None:
        if path.is_symlink():
            return os.readlink(path)
        return path.read_bytes() if path.is_file() else None

    return {str(path.relative_to(folder)): content(path) for path in sorted(folder.rglob("*"))}


def refusal(folder: Path, capsys, *arguments: object) -> tuple[int, str]:
    """Runs a command that must fail: its exit code and its one line; nothing in the folder was changed."""
    before = tree(folder)
    code = run([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    assert out == ""
    assert tree(folder) == before
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert err.endswith("\n")
    return code, err.removeprefix("error: ").removesuffix("\n")
