"""The stack against a slow loop, the hooks it calls, and what it refuses to be built with."""

import math

import numpy as np
import pytest
import torch

from scriptchain.config import make
from scriptchain.data.tokenizer import CLS
from scriptchain.errors import ConfigError
from scriptchain.model.encoder import Encoder
from scriptchain.model.pipeline import Network
from scriptchain.model.trace import Trace
from scriptchain.positions import Once, PositionalEncoding, Positions, load

from ..positions.references import attention
from ..positions.rows import (
    ALONE,
    CLASSES,
    ROWS,
    SIZE,
    SMALL,
    VOCAB,
    build,
    difference,
    network,
    network_around,
    padding,
    rows,
    scatter,
    texts,
)
from .remedies import REMEDIES
from .test_residual import joined, norm


def numbers(module: torch.nn.Module) -> dict[str, np.ndarray]:
    return {name: value.detach().double().numpy() for name, value in module.named_parameters()}


def activated(name: str, x: np.ndarray) -> np.ndarray:
    if name == "relu":
        return np.maximum(x, 0)
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def encoded(encoder: Encoder, config, ids: list[int], row) -> np.ndarray:
    """One text through every layer, by the formulas of 1706.03762 and of each form of residual."""
    w = numbers(encoder)
    t = np.arange(len(ids), dtype=np.float64)

    def reference(layer: int):
        place = f"encodings.encodings.{layer}." if load(row.name).every_layer else "encodings.encoding."
        found = row.reference({name.removeprefix(place): w[name] for name in w if name.startswith(place)}, row.options)
        found.special = np.array(ids) == CLS
        return found

    t = reference(0).place(t)
    tokens = w["tokens.weight"][ids]
    x = reference(0).embed(tokens, t)
    added = x - tokens
    if config.embedding_norm:
        x = norm(x, w["stem_norm.weight"], w["stem_norm.bias"])

    def join(x, branch, layer, name):
        prefix = f"{layer}.join_{name}."
        learned = {key.removeprefix(prefix): value for key, value in w.items() if key.startswith(prefix)}
        gain = w.get(f"{layer}.damp_{name}.gain", 1.0)
        if config.branch_scale == "inverse_sqrt_depth":
            gain = gain / math.sqrt(config.num_layers)
        return joined(config.residual, x, lambda y: gain * branch(y), learned, config.num_layers)

    def again(x, number):
        name = f"reinjections.{number - 1}"
        gate = w[f"{name}.gate"] / config.num_layers
        return x + gate * norm(added, w[f"{name}.norm.weight"], w[f"{name}.norm.bias"])

    for number in range(config.num_layers):
        layer = f"layers.{number}"
        if config.positions_reinjected and number:
            x = again(x, number)

        def linear(x, name, layer=layer):
            return x @ w[f"{layer}.{name}.weight"].T + w[f"{layer}.{name}.bias"]

        def attend(x, linear=linear, number=number):
            q, k, v = (
                part.reshape(len(x), config.num_heads, -1) for part in np.split(linear(x, "attention.project"), 3, -1)
            )
            if config.qk_norm:
                q = norm(q, w[f"layers.{number}.attention.query_norm.weight"], np.zeros(1))
                k = norm(k, w[f"layers.{number}.attention.key_norm.weight"], np.zeros(1))
            bias = reference(number).bias(x, q, k, t)
            q, k = reference(number).rotate(q, k, t)
            output, weights = attention(q, k, v, scale=1 / math.sqrt(config.d_model / config.num_heads), bias_HLL=bias)
            added = reference(number).values(weights, t)
            if added is not None:
                output = output + added.transpose(1, 0, 2)
            return linear(output.reshape(len(x), -1), "attention.output")

        def feed(x, linear=linear):
            return linear(activated(config.activation, linear(x, "feedforward.expand")), "feedforward.output")

        x = join(x, attend, layer, "attention")
        x = join(x, feed, layer, "feedforward")
    return norm(x, w["final_norm.weight"], w["final_norm.bias"]) if "final_norm.weight" in w else x


@pytest.mark.parametrize("embedding_norm", [False, True], ids=["plain", "normed"])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("residual", ["pre_norm", "post_norm"])
@rows(row for row in ALONE if not row.options)
def test_the_stack_equals_a_slow_loop(row, residual, activation, embedding_norm):
    check_by_hand(row, {"residual": residual, "activation": activation, "embedding_norm": embedding_norm})


@pytest.mark.parametrize("residual", ["pre_norm", "rezero"])
@rows(row for row in ALONE if not row.options)
def test_normed_queries_and_keys_work_with_every_encoding(row, residual):
    check_by_hand(row, {"residual": residual, "qk_norm": True})


@pytest.mark.parametrize("name", REMEDIES)
@rows(row for row in ALONE if row.id in ("learned", "sinusoidal", "fourier", "convolutional"))
def test_every_remedy_equals_a_slow_loop(row, name):
    check_by_hand(row, {**REMEDIES[name], "num_layers": 4})


def check_by_hand(row, changes):
    changes = {**changes, "dropout": 0.4}
    encoder = network(row, **changes).encoder.double()
    ids = texts(4, 2)
    mask = padding((4, 2), 5, "left")
    with torch.no_grad():
        batch = scatter(ids, mask)
        x = encoder(batch, Positions.from_mask(mask, special=(batch == CLS) & mask))
    for text, own, valid in zip(ids, x, mask, strict=True):
        expected = encoded(encoder, make({**SMALL, **changes}), text.tolist(), row)
        assert difference(own[valid], torch.from_numpy(expected)) < 1e-5


@rows()
def test_the_config_names_the_encoding(row):
    config = make({**SMALL, "positions": row.name, "positions_options": dict(row.options)})
    encoding = Encoder(config, VOCAB).encodings[0]
    assert type(encoding) is type(build(row))
    assert encoding.size == SIZE


def test_a_table_shorter_than_the_texts_is_refused_at_construction():
    config = make({**SMALL, "positions": "learned", "positions_options": {"num_positions": 4}})
    for construct in (lambda: Encoder(config, VOCAB), lambda: Network(config, VOCAB, CLASSES)):
        with pytest.raises(ConfigError) as error:
            construct()
        assert str(error.value) == (
            "num_positions must be at least max_seq_len 12, got 4; hint: positions_options.num_positions=12"
        )


def test_odd_waves_are_refused_at_construction():
    config = make({**SMALL, "d_model": 9, "num_heads": 3, "positions": "sinusoidal"})
    with pytest.raises(ConfigError) as error:
        Encoder(config, VOCAB)
    assert str(error.value) == "d_model must be even for sinusoidal positions, got 9"


def test_an_unknown_encoding_is_refused_at_construction():
    with pytest.raises(ConfigError) as error:
        Encoder(make({**SMALL, "positions": "learnt"}), VOCAB)
    assert str(error.value) == "positions must be a known encoding, got 'learnt'; hint: did you mean 'learned'?"


class Probe(PositionalEncoding):
    """Notes what the encoder asks of it."""

    def __init__(self, size):
        super().__init__(size)
        self.calls: list[str] = []
        self.seen: list[Positions] = []

    def place(self, p):
        self.calls.append("place")
        return p.at(p.coordinate + 100)

    def _note(self, hook, p):
        self.calls.append(hook)
        self.seen.append(p)

    def embed(self, x, p):
        self._note("embed", p)
        return x

    def rotate(self, q, k, p):
        self._note("rotate", p)
        return q, k

    def bias(self, x, q, k, p):
        self._note("bias", p)


class OneForAll(Once):
    def __getitem__(self, layer):
        return self.encoding


@pytest.fixture
def probe():
    return Probe(SIZE)


@pytest.fixture
def batch():
    mask = padding((3, 6), 7, "left")
    return scatter(texts(3, 6), mask), mask


def test_hooks_are_called_in_order_with_placed_coordinates(probe, batch):
    network_around(probe)(*batch)
    assert probe.calls == ["place", "embed", "bias", "rotate"]
    placed = Positions.from_mask(batch[1]).coordinate[batch[1]] + 100
    assert all(torch.equal(p.coordinate[p.valid], placed) for p in probe.seen)


def test_the_encoder_asks_the_encoding_of_each_layer(probe, batch):
    built = network_around(probe, num_layers=3)
    built.encoder.encodings = OneForAll(probe)
    built(*batch)
    assert probe.calls == ["place", *["embed", "bias", "rotate"] * 3]


def test_cls_is_special(probe, batch):
    """Garbage in the pads may be [CLS] too; among real tokens only [CLS] is special."""
    ids, mask = batch
    built = network_around(probe)
    built(ids, mask)
    for p in probe.seen:
        assert torch.equal(p.special[p.valid], (ids == CLS)[mask])
        assert int(p.special[p.valid].sum()) == 2


def test_special_of_a_packed_stream_is_what_was_given(probe):
    stream = torch.cat(texts(3, 2))
    p = Positions.from_packed(torch.tensor([0, 0, 0, 1, 1]), special=stream == CLS)
    network_around(probe).classify(stream, p)
    assert all(p.special[p.valid].tolist() == [True, False, False, True, False] for p in probe.seen)


class Told(PositionalEncoding):
    """Marks special tokens in one column (a norm would take the same number in all columns away)."""

    def embed(self, x, p):
        return x + p.special.unsqueeze(-1) * torch.eye(x.shape[-1])[0]


def test_special_reaches_the_logits(batch):
    ids, mask = batch
    built = network_around(Told(SIZE))
    with torch.no_grad():
        told, untold = built(ids, mask), built.classify(ids, Positions.from_mask(mask))
    assert difference(told, untold) > 1e-3


@rows()
def test_a_packed_stream_keeps_its_shape(row):
    encoder = network(row).encoder
    ids = torch.cat(texts(3, 2))
    segment = torch.tensor([0, 0, 0, 1, 1])
    flat = encoder(ids, Positions.from_packed(segment))
    assert flat.shape == (5, SIZE.d_model)
    batched = encoder(ids[None], Positions.from_packed(segment[None]))
    assert difference(batched, flat[None]) < 1e-6


@pytest.mark.parametrize("residual", ["pre_norm", "post_norm"])
def test_every_dropout_acts_and_in_training_alone(batch, residual):
    """Each by itself, all others off: an encoder's and a head's."""
    built = network(ROWS[0], dropout=0.5, residual=residual, head_layers=[6])
    assert torch.equal(built(*batch), built(*batch))
    switches = {name: part for name, part in built.named_modules() if hasattr(part, "p") or hasattr(part, "dropout")}
    switches = {name: (part, "p" if hasattr(part, "p") else "dropout") for name, part in switches.items()}
    switches = {name: switch for name, switch in switches.items() if isinstance(getattr(*switch), float)}
    assert len(switches) == 1 + 2 * 4 + 2  # stem; attention, feed-forward and two joins a layer; before and in the MLP
    built.train()
    for name in switches:
        for other, (part, attribute) in switches.items():
            setattr(part, attribute, 0.5 if name == other else 0.0)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            assert not torch.equal(built(*batch), built(*batch)), f"{name} must act"


# --- pooled layers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("pooled", "layers"), [(1, [3]), (2, [1, 3]), (3, [1, 2, 3]), (4, [0, 1, 2, 3])])
@pytest.mark.parametrize("residual", ["pre_norm", "post_norm"])
def test_pooled_layers_stand_side_by_side_the_last_behind(pooled, layers, residual):
    made = make({**SMALL, "num_layers": 4, "pooled_layers": pooled, "residual": residual})
    mask = padding((3, 6), 7, "right")
    ids = scatter(texts(3, 6), mask)
    built = Network(made, VOCAB, 3).eval()
    trace = Trace()
    stream = built.encoder(ids, Positions.from_mask(mask), trace)
    ends = [built.encoder.final_norm(trace[f"layers.{layer}.output"]) for layer in layers]
    assert torch.equal(stream, torch.cat(ends, -1))
    assert torch.equal(stream[..., -made.d_model :], trace["output"])
    assert built(ids, mask).shape == (len(ids), 3)
