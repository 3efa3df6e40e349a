"""JSON read by the letter: no key twice, no NaN, no endless nesting, nothing larger than it can need to be."""

import json
import re
from typing import Any, NoReturn

from ..errors import ModelError, first_line

_HALF = re.compile(rb"\\u[dD][89a-fA-F]")


def parsed(content: bytes, name: str, limit: int) -> Any:
    """The document. Raises ModelError, with `name`, for what is no JSON or larger than `limit` bytes."""
    if len(content) > limit:
        raise ModelError(f"{name} must have at most {limit:,} bytes, got {len(content):,}")
    try:
        # Decoded here: left to itself, the library guesses other encodings.
        document = json.loads(content.decode(), object_pairs_hook=_distinct, parse_constant=_refuse)
        if _HALF.search(content):  # an escape may write half a character, which nothing can print
            json.dumps(document, ensure_ascii=False).encode()
        return document
    except RecursionError:
        raise ModelError(f"{name} must be JSON, got one that is nested too deep") from None
    except ValueError as error:
        raise ModelError(f"{name} must be JSON ({first_line(error)})") from None


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [key for key, _ in pairs]
        twice = next(key for key in names if names.count(key) > 1)
        raise ValueError(f"key {twice[:40]!r} stands twice")
    return found


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")
