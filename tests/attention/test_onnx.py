"""Exports of a module that calls `attend`: plain operators for any opset, one operator where it is asked for."""

import io
from contextlib import nullcontext, redirect_stdout

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from scriptchain.attention import attend, onnx_operator
from scriptchain.positions import Positions, Size
from scriptchain.positions.alibi import Alibi

from ..positions.rows import draw

pytestmark = pytest.mark.filterwarnings("ignore")  # the exporter's own deprecations


class Attention(nn.Module):
    """Of two heads, values narrower than queries, with a bias."""

    def __init__(self):
        super().__init__()
        self.encoding = Alibi(Size(8, 2, num_layers=1, max_seq_len=16))

    def forward(self, x_BLD: Tensor, mask_BL: Tensor) -> Tensor:
        p = Positions.from_mask(mask_BL)
        q_BLHE = x_BLD.unflatten(-1, (2, -1))
        k_BLHE = q_BLHE.flip(-1)
        bias = self.encoding.bias(x_BLD, q_BLHE, k_BLHE, p)
        return attend(q_BLHE, k_BLHE, q_BLHE[..., :3], p, scale=0.5, bias=bias).flatten(-2)


@pytest.mark.parametrize(("opset", "asked"), [(18, False), (20, False), (23, False), (23, True)])
def test_an_export_computes_what_the_module_does(opset, asked):
    module, given = Attention().eval(), (draw(2, 5, 8), torch.tensor([[True] * 5, [True] * 3 + [False] * 2]))
    batch, length = torch.export.Dim("batch"), torch.export.Dim("length")
    with onnx_operator() if asked else nullcontext(), redirect_stdout(io.StringIO()):
        program = torch.onnx.export(
            module, given, dynamo=True, opset_version=opset, verbose=False, input_names=["x", "mask"],
            dynamic_shapes=({0: batch, 1: length}, {0: batch, 1: length}),
        )  # fmt: skip
    assert program is not None
    operators = [node.op_type for node in program.model_proto.graph.node]
    assert operators.count("Attention") == asked
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString())
    x = draw(3, 7, 8, seed=1)
    mask = torch.arange(7) < torch.tensor([[7], [2], [4]])
    found = session.run(None, {"x": x.numpy(), "mask": mask.numpy()})[0]
    np.testing.assert_allclose(found[mask], module(x, mask).detach().numpy()[mask], atol=1e-6)


def test_asking_ends_with_its_block():
    with pytest.raises(ValueError, match="torn"), onnx_operator():
        raise ValueError("torn")
    test_an_export_computes_what_the_module_does(18, asked=False)
