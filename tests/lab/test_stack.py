"""The stack is found or named, every layer is seen to be called, and what cannot be measured says so in one line."""

import pytest
import torch
from torch import nn

from scriptchain.errors import DataError, UsageError
from scriptchain.lab import Batch, examine
from scriptchain.lab.stack import Stack

WIDTH = 16


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.mix, self.norm = nn.Linear(WIDTH, WIDTH), nn.LayerNorm(WIDTH)

    def forward(self, x):
        return x + self.mix(self.norm(x))


class Model(nn.Module):
    """Two stacks, an odd list beside them, and a head."""

    def __init__(self, layers: int = 4, before: int = 2):
        super().__init__()
        self.tokens = nn.Embedding(100, WIDTH)
        self.before = nn.ModuleList(Layer() for _ in range(before))
        self.body = nn.Module()
        self.body.blocks = nn.ModuleList(Layer() for _ in range(layers))
        self.heads = nn.ModuleList(nn.Linear(WIDTH, 2) for _ in range(9))
        self.skipped: set[int] = set()

    def forward(self, inputs, mask):
        x = self.tokens(inputs)
        for layer in self.before:
            x = layer(x)
        for number, layer in enumerate(self.body.blocks):
            x = x if number in self.skipped else layer(x)
        kept = mask.unsqueeze(-1)
        return self.heads[0]((x * kept).sum(1) / kept.sum(1))


def batch(rows: int = 32) -> Batch:
    ids = torch.randint(1, 100, (rows, 10), generator=torch.Generator().manual_seed(0))
    return Batch(ids, torch.arange(10) < torch.arange(rows).unsqueeze(1) % 6 + 5)


def test_the_longest_stack_is_found_and_any_can_be_named():
    model = Model()
    assert Stack(model, batch()).names == [f"body.blocks.{number}" for number in range(4)]
    assert Stack(model, batch(), layers="before").names == ["before.0", "before.1"]
    assert Stack(model, batch(), layers=["before.1", "body.blocks.2"]).names == ["before.1", "body.blocks.2"]


def test_torchs_own_encoder_is_a_stack():
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(WIDTH, 2, 32, batch_first=True), 3)
    vectors = Batch(torch.randn(32, 10, WIDTH), batch().mask)
    assert Stack(encoder, vectors).names == [f"layers.{number}" for number in range(3)]
    seen = Stack(encoder, vectors).run(vectors)
    assert len(seen.streams) == 4
    assert torch.equal(seen.streams[0], vectors.inputs)


def test_the_fast_path_does_not_hide_layers_and_is_left_as_it_was():
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(WIDTH, 2, 32, batch_first=True), 3).eval()
    vectors = Batch(torch.randn(32, 10, WIDTH), batch().mask)
    found = examine(encoder, [vectors], weights="initial")
    tokens, layer = 32 * 10, 4 * WIDTH * WIDTH + 2 * WIDTH * 32
    assert found["cost"]["flops"]["by_layer"] == [2 * tokens * layer + 4 * 32 * 10 * 10 * WIDTH] * 3
    assert torch.backends.mha.get_fastpath_enabled()


def test_a_layer_that_is_not_called_is_not_passed_over():
    model = Model()
    model.skipped = {2}
    with pytest.raises(
        UsageError, match=r"every layer must be called once a forward, in order, got calls \[1, 1, 0, 1\]"
    ):
        Stack(model, batch(), layers="body.blocks").run(batch())


class Shared(nn.Module):
    """One layer, called many times."""

    def __init__(self):
        super().__init__()
        self.tokens, self.layers = nn.Embedding(100, WIDTH), nn.ModuleList([Layer()])

    def forward(self, inputs, mask):
        x = self.tokens(inputs)
        for _ in range(3):
            x = self.layers[0](x)
        return x


def test_one_layer_called_many_times_is_refused():
    with pytest.raises(UsageError, match=r"every layer must be called once a forward, in order, got calls \[3\]"):
        examine(Shared(), [batch()])


def test_an_answer_may_be_a_stream():
    class Bare(Model):
        def forward(self, inputs, mask):
            x = self.tokens(inputs)
            for layer in self.body.blocks:
                x = layer(x)
            return x

    stack = Stack(Bare(), batch())
    assert stack.answers(batch()).shape == (32, WIDTH)


def test_attention_without_weights_leaves_its_verdicts_open():
    verdicts = examine(Model(), [batch()], weights="initial")["verdicts"]
    for name in ("entropy_collapse", "attention_uniform", "attention_sink"):
        assert (verdicts[name]["state"], verdicts[name]["says"]) == (
            "UNDECIDED", "no softmax over the keys was seen in any layer"
        )  # fmt: skip
    assert verdicts["query_key_starvation"]["state"] == "UNDECIDED"


def poisoned() -> Model:
    model = Model()
    model.body.blocks[1].mix.weight.data[0, 0] = torch.nan
    return model


@pytest.mark.parametrize(
    ("module", "batches", "message"),
    [
        (lambda: nn.Linear(4, 4), lambda: [Batch(torch.randn(32, 10, 4), batch().mask)],
         "the module must hold a stack of layers that turn"),
        (lambda: Model().bfloat16(), lambda: [batch()], "parameters must be float32 or float64 to be measured, got"),
        (poisoned, lambda: [batch()], "the stream must be finite, got NaN or infinity at .* in what layer 2 passes on"),
        (Model, lambda: [batch().inputs], "a batch must hold inputs and a padding mask, got none"),
        (Model, lambda: [(batch().inputs, batch().mask[:, :5])], "a mask must be .* as its inputs"),
        (Model, lambda: [(batch().inputs, batch().mask & False)], "with a real token in each row"),
    ],
)  # fmt: skip
def test_what_cannot_be_measured_is_said_with_the_way_out(module, batches, message):
    with pytest.raises(UsageError, match=message) as caught:
        examine(module(), batches())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("layers", "message"), [("nowhere", "layers must name a part"), (["a", "b"], "got \\['a', 'b'\\]")]
)
def test_layers_that_are_not_there_are_refused(layers, message):
    with pytest.raises(UsageError, match=message):
        examine(Model(), [batch()], layers)


def test_too_few_texts_are_refused():
    with pytest.raises(DataError, match="an examination needs at least 32 texts, got 31"):
        examine(Model(), [batch(31)])


def test_an_answer_that_is_none_is_refused():
    class Odd(Model):
        def forward(self, inputs, mask):
            return super().forward(inputs, mask).sum()

    with pytest.raises(UsageError, match="the module must return logits"):
        Stack(Odd(), batch())
