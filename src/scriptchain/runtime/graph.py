"""An ONNX file looked over before anything runs it: one file, the standard's own operators, no branch, no NaN.

onnxruntime follows a tensor's external data out of the folder and through links, and runs custom operators that are
registered; the core install has no `onnx` to ask. What is needed of protobuf's wire format is here: a message is a
list of numbered fields, each a number, eight bytes, four bytes, or bytes that may be a message.

*Source*: onnx.proto3, release 1.21; Protocol Buffers' encoding.
"""

import math
from collections.abc import Iterator

import numpy as np

from ..errors import ModelError

Field = tuple[int, int | memoryview]
FLOATS = {1: "<f4", 10: "<f2", 11: "<f8"}  # TensorProto's data types
SIZES = {1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 12: 4, 13: 8, 16: 2}
STANDARD = (b"", b"ai.onnx")
# The fields that a file of ours may have, by message.
MODEL = {1: "ir_version", 2: "producer_name", 3: "producer_version", 4: "domain", 5: "model_version", 7: "graph",
         8: "opset_import"}  # fmt: skip
GRAPH = {1: "node", 2: "name", 5: "initializer", 11: "input", 12: "output"}
NODE = {1: "input", 2: "output", 3: "name", 4: "op_type", 5: "attribute", 7: "domain"}
ATTRIBUTE = {1: "name", 2: "f", 3: "i", 4: "s", 5: "t", 7: "floats", 8: "ints", 9: "strings", 20: "type"}
TENSOR = {1: "dims", 2: "data_type", 4: "float_data", 5: "int32_data", 7: "int64_data", 8: "name", 9: "raw_data",
          10: "double_data", 11: "uint64_data"}  # fmt: skip


def check(content: bytes, name: str, embeddings: tuple[str, int]) -> None:
    """Raises ModelError for a model that could reach outside its file, or whose tokens are not the vocabulary's.

    `embeddings` names the tensor with a row a token, in floats or 8 bits, and how many rows it must have.
    """
    model = _known(memoryview(content), MODEL, name)
    for imported in _all(model, "opset_import"):
        if _bytes(dict(_fields(imported, name)).get(1, memoryview(b""))) not in STANDARD:
            raise _foreign(name)
    graphs = _all(model, "graph")
    if len(graphs) != 1:
        raise ModelError(f"{name} must hold one graph, got {len(graphs)}")
    graph = _known(graphs[0], GRAPH, name)
    nodes = _all(graph, "node")
    if not nodes:
        raise ModelError(f"{name} must compute something, got a graph without nodes")
    for node in nodes:
        fields = _known(node, NODE, name)
        if any(_bytes(domain) not in STANDARD for domain in fields.get("domain", [])):
            raise _foreign(name)
        for attribute in _all(fields, "attribute"):
            for tensor in _all(_known(attribute, ATTRIBUTE, name), "t"):
                _tensor(tensor, name)
    tensors = dict(_tensor(tensor, name) for tensor in _all(graph, "initializer"))
    key, rows = embeddings
    found = tensors.get(key, tensors.get(f"{key}_quantized", [0]))[0]
    if found != rows:
        raise ModelError(f"{name} must have an embedding for each of {rows:,} tokens, got {found:,}")


def with_weights(content: bytes) -> tuple[bytes, list[str]]:
    """The model with what each softmax and each attention weighs by among its outputs, and their names, first to last.

    Of a message that stands twice the fields are joined, so what is added may stand behind the rest.
    """
    (whole,) = _all(_known(memoryview(content), MODEL, "model.onnx"), "graph")
    names: list[str] = []
    added = b""
    for node in _all(_known(whole, GRAPH, "model.onnx"), "node"):
        fields = _known(node, NODE, "model.onnx")
        kind = _bytes(fields["op_type"][0])
        if kind == b"Softmax":
            names.append(_bytes(fields["output"][0]).decode())
        elif kind == b"Attention":
            names.append(f"weights {len(names)}")
            added += _message(1, _weighing(fields, names[-1]))
    added += b"".join(_message(12, _message(1, name.encode())) for name in names)
    return content + _message(7, added), names


def _weighing(attention: dict[str, list[int | memoryview]], name: str) -> bytes:
    """The same node once more, which gives its weights too: the fourth output, as they are after the softmax."""
    mode = b"qk_matmul_output_mode"
    kept = [one for one in _all(attention, "attribute") if _bytes(_known(one, ATTRIBUTE, name)["name"][0]) != mode]
    after_softmax = _message(1, mode) + bytes([3 << 3, 3, 20 << 3 & 127 | 128, 1, 2])  # i = 3; type = INT, field 20
    return b"".join([
        *(_message(1, _bytes(one)) for one in attention["input"]),
        *(_message(2, one) for one in (f"{name} values".encode(), b"", b"", name.encode())),
        _message(4, b"Attention"),
        *(_message(5, one) for one in (*map(bytes, kept), after_softmax)),
    ])  # fmt: skip


def _message(number: int, content: bytes) -> bytes:
    size, left = bytearray(), len(content)
    while left > 127:
        size.append(left & 127 | 128)
        left >>= 7
    return bytes([number << 3 | 2, *size, left]) + content


def _tensor(message: memoryview, name: str) -> tuple[str, list[int]]:
    """Its name and shape."""
    fields = _known(message, TENSOR, name)
    key = _bytes(fields.get("name", [memoryview(b"")])[-1]).decode(errors="replace")
    shape = _integers(fields.get("dims", []), name)
    kind = fields.get("data_type", [0])[-1]
    if not isinstance(kind, int) or kind not in SIZES:
        raise ModelError(f"{name}: the tensor {key!r} must be of numbers, got type {kind!r}")
    if any(size < 0 for size in shape) or math.prod(shape) > len(message):
        raise ModelError(f"{name}: the tensor {key!r} must hold its numbers, got shape {shape}")
    for raw in _all(fields, "raw_data"):
        if len(raw) != math.prod(shape) * SIZES[kind]:
            raise ModelError(f"{name}: the tensor {key!r} must hold its numbers, got {len(raw)} bytes for {shape}")
        if kind in FLOATS:
            values = np.frombuffer(raw, FLOATS[kind])
            # Minus infinity closes attention to a place; it is a constant of its own, never a weight.
            if np.isnan(values).any() or (values.size > 1 and not np.isfinite(values).all()):
                raise ModelError(f"{name}: the tensor {key!r} must be finite, got NaN or infinity")
    return key, shape or [0]


def _known(message: memoryview, known: dict[int, str], name: str) -> dict[str, list[int | memoryview]]:
    """The fields by name. Raises ModelError for one that no file of ours has."""
    found: dict[str, list[int | memoryview]] = {}
    for number, value in _fields(message, name):
        if number not in known:
            raise ModelError(
                f"{name} must be one file of plain operators and tensors, got a field {number} beside "
                f"{', '.join(known.values())}"
            )
        found.setdefault(known[number], []).append(value)
    return found


def _all(fields: dict[str, list[int | memoryview]], key: str) -> list[memoryview]:
    return [value for value in fields.get(key, []) if isinstance(value, memoryview)]


def _bytes(value: int | memoryview) -> bytes:
    return bytes(value) if isinstance(value, memoryview) else b"?"


def _integers(values: list[int | memoryview], name: str) -> list[int]:
    """Repeated int64, packed or not."""
    found: list[int] = []
    for value in values:
        if isinstance(value, memoryview):
            at = 0
            while at < len(value):
                number, at = _varint(value, at, name)
                found.append(number)
        else:
            found.append(value)
    return [number - 2**64 if number >= 2**63 else number for number in found]


def _fields(message: memoryview, name: str) -> Iterator[Field]:
    at = 0
    while at < len(message):
        tag, at = _varint(message, at, name)
        kind = tag & 7
        if kind == 0:
            value, at = _varint(message, at, name)
            yield tag >> 3, value
            continue
        if kind == 2:
            size, at = _varint(message, at, name)
        else:
            size = {1: 8, 5: 4}.get(kind, -1)
        if size < 0 or at + size > len(message):
            raise _damaged(name)
        yield tag >> 3, message[at : at + size]
        at += size


def _varint(message: memoryview, at: int, name: str) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            break
        byte = message[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value & (2**64 - 1), at
    raise _damaged(name)


def _foreign(name: str) -> ModelError:
    return ModelError(f"{name} must use the standard's operators alone, got another domain")


def _damaged(name: str) -> ModelError:
    return ModelError(f"{name} must be an ONNX file, got a damaged one")
