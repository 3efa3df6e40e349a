"""Laws of the export: the same answers at every batch and length, dynamic axes, nothing of the host inside."""

import logging
import os

import numpy as np
import onnx
import pytest
import torch

from scriptchain import config
from scriptchain.data.tokenizer import Tokenizer
from scriptchain.errors import ScriptChainError
from scriptchain.export.onnx import to_onnx, verify
from scriptchain.model.pipeline import Network, torch_logits
from scriptchain.model.trace import Trace
from scriptchain.positions import names
from scriptchain.runtime import graph
from scriptchain.runtime.attention_maps import Watched
from scriptchain.runtime.session import onnx_session, session_logits
from scriptchain.training.seed import seeded

TEXTS = ["hello world", "a", "the quick brown fox jumps over the lazy dog " * 4, "", "żółć 🙂", "hello world again"]
SMALL = {"d_model": 16, "num_heads": 2, "num_layers": 2, "d_feedforward": 32, "max_seq_len": 20, "vocab_size": 300}
ARCHITECTURES = [
    {},
    {"pooling": "cls"},
    {"pooling": "max"},
    {"pooling": "attention"},
    {"pooling": "attention", "pooled_layers": 2},
    *({"positions": name} for name in names()),
    {"positions": "randomized+shaw"},
    {"positions": "rope/none"},
    {"residual": "post_norm", "embedding_norm": True, "head_layers": [8], "tokenizer": "word", "min_frequency": 1},
]


def built(changes: dict) -> tuple[Network, Tokenizer]:
    made = config.resolve("small", overrides=SMALL | changes)
    tokenizer = Tokenizer.train(
        TEXTS, kind=made.tokenizer, vocab_size=made.vocab_size, min_frequency=1, lowercase=True,
        max_seq_len=made.max_seq_len, with_cls=made.pooling == "cls",
    )  # fmt: skip
    with seeded(3):
        network = Network(made, tokenizer.vocab_size, 3)
        for parameter in network.parameters():  # what starts at 0 does nothing, and could be exported as anything
            if not parameter.any():
                torch.nn.init.normal_(parameter, std=0.1)
    return network, tokenizer


@pytest.mark.parametrize("changes", ARCHITECTURES, ids=str)
def test_the_two_executors_agree_alone_and_in_batches(changes):
    network, tokenizer = built(changes)
    exported = to_onnx(network, tokenizer)
    ours, theirs = torch_logits(network, tokenizer), session_logits(exported, tokenizer, threads=1)
    for texts in (TEXTS, TEXTS[:1], TEXTS[2:3], TEXTS * 5):
        np.testing.assert_allclose(theirs(texts), ours(texts), atol=1e-5)
    assert verify(exported, network, tokenizer, TEXTS) < 1e-5
    for text in TEXTS:
        assert_looks_alike(network, tokenizer, exported, text)


@pytest.mark.parametrize("changes", [{}, {"positions": "learned+convolutional"}, {"positions": "shaw"}], ids=str)
def test_pads_may_stand_anywhere(changes):
    network, tokenizer = built(changes)
    session = onnx_session(to_onnx(network, tokenizer), threads=1)
    rng = np.random.default_rng(0)
    ids, mask = rng.integers(4, tokenizer.vocab_size, (40, 12)), rng.random((40, 12)) < 0.6
    mask[0], mask[1] = False, True
    with torch.no_grad():
        expected = network.eval()(torch.from_numpy(ids), torch.from_numpy(mask)).numpy()
    np.testing.assert_allclose(session.run(None, {"ids": ids, "mask": mask})[0], expected, atol=1e-5)


@pytest.mark.parametrize("positions", ["learned", "rope", "alibi", "t5_bias", "learned+convolutional"])
def test_each_layer_attends_by_one_operator(positions):
    model = onnx.load_from_string(to_onnx(*built({"positions": positions})))
    operators = [node.op_type for node in model.graph.node]
    assert operators.count("Attention") == SMALL["num_layers"]
    assert "Softmax" not in operators
    makers = {name: node for node in model.graph.node for name in node.output}
    for queries, keys, values, mask in (node.input for node in model.graph.node if node.op_type == "Attention"):
        filled = [makers[name] for name in (keys, values, mask)]
        assert {node.op_type for node in filled} == {"Pad"}
        for name in (queries, filled[0].input[0], filled[1].input[0]):
            nodes = [makers[name], makers[makers[name].input[0]]]
            assert [node.op_type for node in nodes] != ["Reshape", "Reshape"]


@pytest.mark.parametrize(("length", "keys"), [(1, 16), (15, 16), (16, 16), (17, 32)])
def test_keys_fill_whole_registers_and_what_fills_them_weighs_nothing(length, keys):
    watched, names = graph.with_weights(to_onnx(*built({"positions": "alibi"})))
    ids, mask = np.full((2, length), 5), np.ones((2, length), bool)
    for weights in onnx_session(watched, threads=1).run(names, {"ids": ids, "mask": mask}):
        assert np.shape(weights) == (2, 2, length, keys)
        assert not np.any(weights[..., length:])
        np.testing.assert_allclose(np.sum(weights, -1), 1, atol=1e-6)


def assert_looks_alike(network: Network, tokenizer: Tokenizer, exported: bytes, text: str) -> None:
    """The heads of the file look where those of the network do."""
    (ids,), trace = tokenizer.encode([text]).ids, Trace()
    with torch.no_grad():
        network.eval()(torch.tensor(ids)[None], torch.ones(1, len(ids), dtype=torch.bool), trace)
    wanted = np.stack([value.numpy()[0] for name, value in trace.items() if name.endswith("attention.weights")])
    found = Watched(exported, tokenizer)(text)
    assert wanted.shape == (2, 2, len(ids), len(ids))
    np.testing.assert_allclose(found.weights, wanted, atol=1e-5)
    np.testing.assert_allclose(found.weights.sum(-1), 1, atol=1e-5)
    assert len(found.tokens) == len(ids)


def test_the_same_network_gives_the_same_bytes_and_nothing_of_the_host():
    network, tokenizer = built({})
    exported = to_onnx(network, tokenizer)
    assert exported == to_onnx(network, tokenizer)
    assert os.getcwd().encode() not in exported
    assert b"site-packages" not in exported
    model = onnx.load_from_string(exported)
    onnx.checker.check_model(model, full_check=True)
    assert not model.metadata_props
    assert not any(node.metadata_props or node.doc_string for node in model.graph.node)
    assert not any(tensor.external_data for tensor in model.graph.initializer)
    shapes = {value.name: [axis.dim_param for axis in value.type.tensor_type.shape.dim] for value in model.graph.input}
    assert set(shapes) == {"ids", "mask"}
    assert all(all(axes) for axes in shapes.values())


def test_the_exporter_is_silent(caplog, capfd):
    network, tokenizer = built({"positions": "tupe"})
    to_onnx(network, tokenizer)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert capfd.readouterr() == ("", "")


def test_a_model_that_answers_otherwise_is_refused():
    network, tokenizer = built({})
    exported = to_onnx(network, tokenizer)
    network.head.mlp[-1].bias.data += 0.01
    with pytest.raises(
        ScriptChainError, match=r"the exported model must agree with the trained one, got a difference of 0.01"
    ):
        verify(exported, network, tokenizer, TEXTS)
