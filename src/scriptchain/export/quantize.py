"""An ONNX network in numbers of 8 bits: the encoder's matrices and embeddings, a scale for each output channel.

The head is small and its answers are close calls: it stays in floats.

`dynamic` scales what flows between layers by each batch, `static` by what calibration texts showed. Of a weight's
bits seven are used: with eight, sums of products overflow on processors without VNNI, which would answer differently.

*Source*: arXiv 1712.05877; onnxruntime's guide to quantization.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_dynamic, quantize_static
from onnxscript.optimizer import optimize

from ..data.batches import pad
from ..data.tokenizer import Tokenizer
from .onnx import strip

TYPES = ["MatMul", "Gemm", "Gather"]  # what has weights
FOLDED = 2**24  # bytes of a weight that is reshaped, at most
BATCH = 16  # calibration texts at a time


def dynamic(content: bytes) -> bytes:
    """The same network; each matrix product measures the greatest of its inputs, batch by batch."""
    return _quantized(
        content,
        lambda model, place: quantize_dynamic(
            model, place, per_channel=True, reduce_range=True, weight_type=QuantType.QInt8, op_types_to_quantize=TYPES,
            nodes_to_exclude=_of_the_head(model), extra_options={"MatMulConstBOnly": True},
        ),
    )  # fmt: skip


def static(content: bytes, tokenizer: Tokenizer, texts: Sequence[str]) -> bytes:
    """The same network; the ranges of its inputs are those that these texts show."""
    return _quantized(
        content,
        lambda model, place: quantize_static(
            model, place, _Texts(tokenizer, texts), per_channel=True, reduce_range=True, weight_type=QuantType.QInt8,
            activation_type=QuantType.QUInt8, op_types_to_quantize=TYPES,
            nodes_to_exclude=_of_the_head(model), extra_options={"MatMulConstBOnly": True},
        ),
    )  # fmt: skip


class _Texts(CalibrationDataReader):
    """Batches of similar length, as they are answered."""

    def __init__(self, tokenizer: Tokenizer, texts: Sequence[str]):
        ids = sorted(tokenizer.encode(texts).ids, key=len)
        self._batches = (pad(ids[start : start + BATCH]) for start in range(0, len(ids), BATCH))

    def get_next(self) -> Any:
        batch = next(self._batches, None)
        return None if batch is None else dict(zip(("ids", "mask"), batch, strict=True))


def _of_the_head(model: onnx.ModelProto) -> list[str]:
    names = [node.name for node in model.graph.node if any(name.startswith("head.") for name in node.input)]
    return [*names, *(f"{name}_MatMul" for name in names)]  # as the library calls the product of a split Gemm


def _quantized(content: bytes, quantize: Callable[[onnx.ModelProto, Path], None]) -> bytes:
    # A matrix that the graph first reshapes is one only once that is done.
    model = optimize(onnx.load_from_string(content), input_size_limit=FOLDED, output_size_limit=FOLDED)
    strip(model)  # shapes that were guessed do not survive the quantizer's renaming
    # What the library's own preparation leaves as a mark; without, it advises on the root logger.
    model.metadata_props.add(key="onnx.quant.pre_process", value="onnxruntime.quant")
    with TemporaryDirectory() as folder:
        place = Path(folder) / "model.onnx"
        quantize(model, place)
        found = onnx.load(place)
    strip(found)
    return found.SerializeToString(deterministic=True)
