"""A trained network as one ONNX file of dynamic batch and length, proven equal on real rows before it is used."""

import contextlib
import io
import logging
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from onnxscript import ir, optimizer

from ..attention import onnx_operator
from ..data.tokenizer import Tokenizer
from ..errors import ScriptChainError
from ..model.pipeline import Network, torch_logits
from ..runtime.session import session_logits

OPSET = 23  # the first with attention as one operator
TOLERANCE = 1e-4


def to_onnx(network: Network, tokenizer: Tokenizer) -> bytes:
    """The serialized model: inputs `ids` (int64) and `mask` (bool) of shape `(batch, length)`, output `logits`.

    Nothing of the machine that wrote it is inside: no path, no stack trace.
    """
    network = network.cpu().eval()
    shape = (2, min(7, tokenizer.max_seq_len))
    example = (torch.ones(shape, dtype=torch.long), torch.ones(shape, dtype=torch.bool))
    batch, length = torch.export.Dim("batch", min=1), torch.export.Dim("length", min=1, max=tokenizer.max_seq_len)
    dynamic = ({0: batch, 1: length}, {0: batch, 1: length}, None)
    for talker in ("torch.onnx", "onnxscript"):
        logging.getLogger(talker).setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), onnx_operator():
        warnings.simplefilter("ignore")  # the exporter's own deprecations are not the user's business
        program = torch.onnx.export(
            network, (*example, None), dynamo=True, opset_version=OPSET, dynamic_shapes=dynamic, verbose=False,
            input_names=["ids", "mask"], output_names=["logits"],
        )  # fmt: skip
    assert program is not None
    join_reshapes(program.model)
    model = program.model_proto
    strip(model)
    return model.SerializeToString(deterministic=True)


def verify(onnx: bytes, network: Network, tokenizer: Tokenizer, texts: Sequence[str]) -> float:
    """The largest difference of a logit between the two executors over these texts, alone and in batches.

    *Raises*: ScriptChainError if it is above 1e-4 of the logits' scale.
    """
    ours, theirs = torch_logits(network, tokenizer), session_logits(onnx, tokenizer)
    expected = ours(texts)
    found = [theirs(texts), np.concatenate([theirs([text]) for text in texts[:8]])]
    difference = max(float(np.abs(part - expected[: len(part)]).max()) for part in found)
    if not difference <= TOLERANCE * max(1.0, float(np.abs(expected).max())):
        raise ScriptChainError(
            f"the exported model must agree with the trained one, got a difference of {difference:.2g}"
        )
    return difference


def join_reshapes(model: ir.Model) -> None:
    """Takes out reshapes that the one before undoes: encodings want heads parted, and the operator joined again. Those
    behind the operator stay, as without them onnxruntime takes longer for many texts in floats."""
    for node in model.graph:
        before = node.inputs[0].producer() if node.op_type == "Reshape" and node.inputs[0] else None
        given = before.inputs[0] if before and before.op_type == "Reshape" else None
        if given is None or getattr(given.producer(), "op_type", None) == "Attention":
            continue
        if given.shape and given.shape == node.outputs[0].shape and not given.shape.has_unknown_dim():
            ir.convenience.replace_all_uses_with(node.outputs[0], given)
    optimizer.remove_unused_nodes(model)


def strip(model: Any) -> None:
    """Removes what the exporter notes about its host: stack traces, names of source files, its shape guesses."""
    model.ClearField("doc_string")
    for graph in (model.graph, *model.functions):
        del graph.value_info[:]
        graph.ClearField("doc_string")
        for part in (graph, *graph.node):
            del part.metadata_props[:]
            part.ClearField("doc_string")
    for tensor in model.graph.initializer:
        if tensor.data_location == tensor.DEFAULT:  # said or not: the numbers stand in the file
            tensor.ClearField("data_location")
    for value in (*model.graph.input, *model.graph.output, *model.graph.initializer):
        if value.metadata_props:
            del value.metadata_props[:]
    del model.metadata_props[:]
