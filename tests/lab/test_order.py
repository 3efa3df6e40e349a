"""Word order by its own yardstick, on texts that were not learned; memory counted against its closed form."""

import numpy as np
import pytest
import torch
from torch import nn

from scriptchain.lab import Batch, examine
from scriptchain.lab.entropy import attention
from scriptchain.lab.kept import kept
from scriptchain.lab.order import order
from scriptchain.lab.stack import Stack
from scriptchain.lab.streams import reworded


class Answers(nn.Module):
    """Logits of (ids, mask) by a function; two layers that do nothing stand in for a stack."""

    def __init__(self, function):
        super().__init__()
        self.layers, self.function = nn.ModuleList(nn.Identity() for _ in range(2)), function

    def forward(self, inputs, mask):
        stream = torch.zeros(*inputs.shape, 4)
        for layer in self.layers:
            stream = layer(stream)
        return self.function(inputs, mask) + stream.sum()


def batch(rows: int = 96, seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    mask = torch.arange(10) < torch.randint(4, 11, (rows, 1), generator=generator)
    ids = torch.randint(1, 9, mask.shape, generator=generator).masked_fill(~mask, 0)
    return Batch(ids, mask, (ids[:, 0] > 4).long())


def first_word(ids, mask):
    score = (ids[:, 0] - 4.5).float()
    return torch.stack([-score, score], 1)


def distance(function) -> float:
    one = batch()
    return order(Stack(Answers(function), one, layers="layers"), [one]).distance.value


def test_other_words_are_the_measure_whatever_the_lengths_do():
    """An answer that leans on length alone moves two texts apart, and must not hide that order decides the rest."""

    def flooded(ids, mask):
        return first_word(ids, mask) + 1_000 * torch.stack([mask.sum(1), -mask.sum(1)], 1)

    assert distance(flooded) == pytest.approx(distance(first_word))
    assert distance(first_word) > 0.5
    assert distance(lambda ids, mask: torch.stack([ids.sum(1), -ids.sum(1)], 1).float()) == 0


def test_other_words_stand_in_the_same_places():
    one = batch()
    special = torch.zeros_like(one.mask)
    special[:, 0] = True
    (other,) = reworded([Batch(one.inputs, one.mask, special=special)], 0)
    assert (other.inputs[:, 0] == one.inputs[:, 0]).all()
    assert (other.inputs[~one.mask] == 0).all()
    assert (other.inputs[one.mask] > 0).all()
    assert (other.inputs != one.inputs).float().mean() > 0.3


def test_what_order_is_worth_is_asked_of_held_out_texts():
    """This model knows its own texts by their order, and new ones by their words."""
    learned, unseen = (Batch(one.inputs, one.mask, one.inputs.sum(1) % 2) for one in (batch(), batch(seed=1)))
    rows = {tuple(row) for row in learned.inputs.tolist()}
    bags = {tuple(sorted(row)) for row in rows}

    def answer(ids, mask):
        unsure = torch.tensor([tuple(sorted(row)) in bags and tuple(row) not in rows for row in ids.tolist()])
        return nn.functional.one_hot((ids.sum(1) + unsure) % 2, 2).float()

    stack = Stack(Answers(answer), learned, layers="layers")
    assert order(stack, [learned]).drop.low > 0.5
    assert order(stack, [learned], [unseen]).drop.value < 0.05


class LookingBack(nn.Module):
    """Queries look evenly at the words up to their own, and at the first by a logit of `extra` more."""

    def __init__(self, extra: float):
        super().__init__()
        self.extra = extra

    def forward(self, x):
        logits = torch.zeros(len(x), 1, x.shape[1], x.shape[1])
        logits[..., 0] += self.extra
        logits = logits.masked_fill(torch.ones_like(logits, dtype=torch.bool).triu(1), -torch.inf)
        return x + (logits.softmax(-1) @ x.unsqueeze(1)).squeeze(1)


class Causal(nn.Module):
    def __init__(self, extra: float):
        super().__init__()
        self.layers = nn.ModuleList([LookingBack(extra)])

    def forward(self, inputs, mask):
        return self.layers[0](inputs)


@pytest.mark.parametrize(("extra", "sink"), [(0.0, False), (6.0, True)])
def test_a_uniform_look_back_is_no_sink(extra, sink):
    """The first word is seen by all and the last by one: a mean over queries alone would call that a sink."""
    one = Batch(torch.randn(8, 12, 6), torch.ones(8, 12).bool())
    (seen,) = attention(Stack(Causal(extra), one, layers="layers"), [one])
    assert (seen.sink.value > 0.8) if sink else (abs(seen.sink.value) < 1e-6)


# --- memory -------------------------------------------------------------------------------------------------


def asking(attend, *args, **more):
    return attend(*args, **more | {"need_weights": True})


@pytest.mark.parametrize("heads", [2, 4])
def test_written_out_attention_keeps_its_weights_to_the_byte(heads):
    def layers(written_out: bool) -> nn.Module:
        layer = nn.TransformerEncoderLayer(32, heads, 64, 0.0, batch_first=True)
        module = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        if written_out:  # torch's module forms its weights only when they are asked for
            for one in module.layers:
                attend = one.self_attn.forward
                one.self_attn.forward = lambda *args, attend=attend, **more: attend(
                    *args, **more | {"need_weights": True}
                )
        return module

    one = Batch(torch.randn(2, 16, 32), torch.ones(2, 16).bool())
    fused, written = (kept(Stack(module, one), one) for module in (layers(False), layers(True)))
    assert fused.quadratic == 0
    assert np.isnan(fused.crossover)
    weights = 4 * heads * 16**2
    assert written.quadratic * sum(written.by_layer) == pytest.approx(2 * weights, rel=1e-6)
    linear = sum(written.by_layer) * (1 - written.quadratic) / 16
    assert written.crossover == pytest.approx(linear / (2 * weights / 16**2), rel=0.05)


def test_texts_too_short_for_a_law_leave_it_open():
    one = Batch(torch.randn(32, 3, 16), torch.ones(32, 3).bool())
    module = nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 2, 32, 0.0, batch_first=True), 2)
    verdict = examine(module, [one]).to_dict()["verdicts"]["memory_quadratic"]
    assert verdict["state"] == "UNDECIDED"
    assert "at least 4 tokens" in verdict["says"]
