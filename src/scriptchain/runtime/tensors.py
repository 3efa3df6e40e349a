"""Safetensors read by the letter: what the library lets pass (a key twice, NaN, a shared place) is refused here.

*Source*: the format's specification; a header of at most 100 MB, offsets that cover the buffer without a gap.
"""

import math
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from ..errors import ModelError
from .documents import parsed

HEADER = 100_000_000  # bytes
DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "U8": "|u1", "BOOL": "|b1"}

Natural = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    dtype: str
    shape: list[Natural]
    data_offsets: tuple[Natural, Natural]


def read(content: bytes, name: str) -> dict[str, NDArray[Any]]:
    """The tensors of a file's bytes, by name, as views into them; `name` is the file's, for messages.

    *Raises*: ModelError for a file that breaks the format in any way, or holds a number that is not finite.
    """
    entries, _, start = _header(content, name)
    buffer = memoryview(content)[start:]
    found: dict[str, NDArray[Any]] = {}
    end = 0
    for key, entry in sorted(entries.items(), key=lambda item: item[1].data_offsets):
        first, last = entry.data_offsets
        if entry.dtype not in DTYPES:
            raise ModelError(f"{name}: the dtype of {key!r} must be one of {', '.join(DTYPES)}, got {entry.dtype!r}")
        kind = np.dtype(DTYPES[entry.dtype])
        size = math.prod(entry.shape) * kind.itemsize
        if first != end or last - first != size or last > len(buffer):
            raise ModelError(f"{name}: {key!r} must hold {size:,} bytes from {end:,} on, got {first:,} to {last:,}")
        array = np.frombuffer(buffer[first:last], kind).reshape(entry.shape)
        if kind.kind == "b" and (array.view(np.uint8) > 1).any():
            raise ModelError(f"{name}: {key!r} must hold 0 and 1, got another byte")
        if kind.kind == "f" and not np.isfinite(array).all():
            raise ModelError(f"{name}: {key!r} must be finite, got NaN or infinity")
        found[key], end = array, last
    if end != len(buffer):
        raise ModelError(f"{name} must hold {end:,} bytes of tensors, got {len(buffer):,}")
    return found


def metadata(content: bytes, name: str) -> dict[str, str]:
    """The text that stands beside the tensors. Raises ModelError as `read`."""
    return _header(content, name)[1]


def check_names(found: Mapping[str, NDArray[Any]], expected: Mapping[str, tuple[int, ...]], name: str) -> None:
    """Raises ModelError listing what is missing, what is too much and what has another shape; all are F32."""
    wrong = [f"no {key}" for key in expected if key not in found]
    wrong += [f"{key}, which is none of the model's" for key in found if key not in expected]
    wrong += [
        f"{key} as {found[key].dtype} {found[key].shape} for float32 {shape}"
        for key, shape in expected.items()
        if key in found and (found[key].shape != tuple(shape) or found[key].dtype != np.float32)
    ]
    if wrong:
        more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise ModelError(f"{name} must hold the model's tensors, got {'; '.join(wrong[:5])}{more}")


def _header(content: bytes, name: str) -> tuple[dict[str, _Entry], dict[str, str], int]:
    size = int.from_bytes(content[:8], "little")
    if len(content) < 8 or size > min(HEADER, len(content) - 8):
        raise ModelError(f"{name} must be a safetensors file, got one without a whole header")
    header = parsed(content[8 : 8 + size], f"the header of {name}", HEADER)
    if not isinstance(header, dict):
        raise ModelError(f"the header of {name} must be an object")
    try:
        told = msgspec.convert(header.pop("__metadata__", {}), dict[str, str])
        return msgspec.convert(header, dict[str, _Entry]), told, 8 + size
    except msgspec.ValidationError as error:
        raise ModelError(f"the header of {name} must describe tensors ({error})") from None
