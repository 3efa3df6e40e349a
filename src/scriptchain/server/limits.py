"""What one request and all of them together may cost: told by `/v1/limits`, changed by `serve --limit NAME=VALUE`."""

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from ..errors import UsageError
from ..report import shown

Count = Annotated[int, Meta(ge=1, le=2**31)]
Seconds = Annotated[float, Meta(gt=0, le=86_400)]


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Bytes, characters, counts and seconds. `batch` is texts answered together, `wait` how long one waits for others,
    `queue` the texts that wait, `share` the part of these that one client may have; `drain` is the time to stop."""

    body: Count = 2**20
    texts: Count = 64
    characters: Count = 20_000
    headers: Count = 16_384
    header_lines: Count = 100
    header_seconds: Seconds = 10.0
    body_seconds: Seconds = 30.0
    seconds: Seconds = 10.0
    queue: Count = 512
    share: Annotated[float, Meta(gt=0, le=1)] = 0.5
    explanations: Count = 8
    connections: Count = 1024
    batch: Count = 32
    wait: Annotated[float, Meta(ge=0, le=1)] = 0.002
    drain: Seconds = 20.0


def limits_from(settings: Sequence[str]) -> Limits:
    """`body=2000000` and the like. Raises UsageError for a name or value that is none."""
    values: dict[str, str] = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals or name not in Limits.__struct_fields__:
            raise UsageError(f"--limit must be NAME=VALUE with a name of {', '.join(Limits.__struct_fields__)}, "
                             f"got {shown(setting, 40)!r}")  # fmt: skip
        values[name] = value
    try:
        return msgspec.convert(values, Limits, strict=False)
    except msgspec.ValidationError as error:
        raise UsageError(f"--limit must be a number in its range ({shown(str(error), 120)})") from None
