"""Attention modules of `transformers` with random weights: ours gives the same output with the same weights.

Each test says how the two differ in layout.
"""

import math

import pytest
import torch
from torch import nn

from scriptchain.attention import attend
from scriptchain.positions import (
    Alibi,
    Cpb,
    Deberta,
    Dense,
    DistanceProfile,
    Positions,
    Shaw,
    Size,
    T5Bias,
    TransformerXl,
)

from .ours import (
    D_MODEL,
    HEADS,
    LENGTH,
    PARITY,
    SIZE,
    TOLERANCE,
    WIDTH,
    assert_same,
    attention,
    bias,
    draw,
    heads,
    perturbed,
    positions,
)

pytestmark = PARITY


def load(parameter: nn.Parameter, value: torch.Tensor) -> None:
    assert parameter.shape == value.shape
    parameter.data.copy_(value.detach())


def columns(reach: int) -> torch.Tensor:
    """The distance j - i of each column of our tables."""
    return torch.arange(-reach, reach + 1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("buckets", "max_distance"), [(32, 128), (16, 50), (8, 20)])
def test_t5(buckets, max_distance, dtype):
    """T5's table has one row more than ours: distance 0 "to the right", which no pair of tokens has."""
    from transformers import T5Config
    from transformers.models.t5.modeling_t5 import T5Attention

    config = T5Config(
        d_model=D_MODEL, d_kv=WIDTH, num_heads=HEADS,
        relative_attention_num_buckets=buckets, relative_attention_max_distance=max_distance,
    )  # fmt: skip
    theirs = perturbed(T5Attention(config, has_relative_attention_bias=True)).to(dtype)
    ours = T5Bias(SIZE, num_buckets=buckets, max_distance=max_distance).to(dtype)
    rows = theirs.relative_attention_bias.weight
    load(ours.table, torch.cat([rows[: buckets // 2], rows[buckets // 2 + 1 :]]))
    for length in (LENGTH, 300):
        assert_same(bias(ours, length, dtype), theirs.compute_bias(length, length)[0])


def test_t5_attention():
    """T5 does not scale its scores, and neither do we if we are told so: `scale=1`."""
    from transformers import T5Config
    from transformers.models.t5.modeling_t5 import T5Attention

    config = T5Config(d_model=D_MODEL, d_kv=WIDTH, num_heads=HEADS, dropout_rate=0.0)
    theirs = perturbed(T5Attention(config, has_relative_attention_bias=True, layer_idx=0)).double().eval()
    ours, x = T5Bias(SIZE).double(), draw(1, LENGTH, D_MODEL)
    rows = theirs.relative_attention_bias.weight
    load(ours.table, torch.cat([rows[:16], rows[17:]]))
    expected = theirs(x)[0]
    found = theirs.o(attention(ours, theirs.q(x), theirs.k(x), theirs.v(x), scale=1.0))
    assert_same(found, expected)


@pytest.mark.parametrize("reach", [8, 64])
def test_deberta(reach):
    """DeBERTa projects one table of i - j, whose side i > j is one row short, and divides all terms by sqrt(3E):
    ours are the projected tables of j - i divided by sqrt(3), beside a `scale` of 1 / sqrt(3E)."""
    from transformers import DebertaV2Config
    from transformers.models.deberta_v2.modeling_deberta_v2 import DisentangledSelfAttention

    config = DebertaV2Config(
        hidden_size=D_MODEL, num_attention_heads=HEADS, relative_attention=True, max_relative_positions=reach,
        position_buckets=-1, pos_att_type=["c2p", "p2c"], share_att_key=False,
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    theirs = perturbed(DisentangledSelfAttention(config)).double().eval()
    x, table = draw(1, LENGTH, D_MODEL), draw(2 * reach, D_MODEL, seed=1)
    ours = Deberta(SIZE, reach=reach).double()
    rows = (reach - columns(reach)).clamp(max=2 * reach - 1)
    load(ours.key, heads(theirs.pos_key_proj(table))[rows].permute(1, 2, 0) / math.sqrt(3))
    load(ours.query, heads(theirs.pos_query_proj(table))[rows].permute(1, 2, 0) / math.sqrt(3))
    mask = torch.ones(1, 1, LENGTH, LENGTH, dtype=torch.bool)
    expected = theirs(x, mask, rel_embeddings=table)[0]
    q, k, v = theirs.query_proj(x), theirs.key_proj(x), theirs.value_proj(x)
    assert_same(attention(ours, q, k, v, scale=(3 * WIDTH) ** -0.5), expected)


@pytest.mark.parametrize(("left", "right"), [(8, 8), (9, 4), (64, 8)])
def test_shaw(left, right):
    """wav2vec2-bert's `relative_key` has rows of j - i, may see farther to one side, and has no table of values."""
    from transformers import Wav2Vec2BertConfig
    from transformers.models.wav2vec2_bert.modeling_wav2vec2_bert import Wav2Vec2BertSelfAttention

    config = Wav2Vec2BertConfig(
        hidden_size=D_MODEL, num_attention_heads=HEADS, position_embeddings_type="relative_key",
        left_max_position_embeddings=left, right_max_position_embeddings=right, attention_dropout=0.0,
        attn_implementation="eager",
    )  # fmt: skip
    theirs = perturbed(Wav2Vec2BertSelfAttention(config)).double().eval()
    ours, x = Shaw(SIZE, reach=max(left, right), values=False).double(), draw(1, LENGTH, D_MODEL)
    load(ours.key, theirs.distance_embedding.weight[columns(max(left, right)).clamp(-left, right) + left].T)
    found = attention(ours, theirs.linear_q(x), theirs.linear_k(x), theirs.linear_v(x))
    assert_same(theirs.linear_out(found), theirs(x)[0])


def test_transformer_xl():
    """wav2vec2-conformer's waves of i - j have sines and cosines in turn, ours sines first: W's columns move."""
    from transformers import Wav2Vec2ConformerConfig
    from transformers.models.wav2vec2_conformer import modeling_wav2vec2_conformer as library

    config = Wav2Vec2ConformerConfig(
        hidden_size=D_MODEL, num_attention_heads=HEADS, position_embeddings_type="relative",
        attention_dropout=0.0, attn_implementation="eager",
    )  # fmt: skip
    theirs = perturbed(library.Wav2Vec2ConformerSelfAttention(config)).double().eval()
    waves = library.Wav2Vec2ConformerRelPositionalEmbedding(config)
    ours, x = TransformerXl(SIZE).double(), draw(1, LENGTH // 2, D_MODEL)
    load(ours.project, torch.cat([theirs.linear_pos.weight[:, 0::2], theirs.linear_pos.weight[:, 1::2]], 1))
    load(ours.content, theirs.pos_bias_u)
    load(ours.position, theirs.pos_bias_v)
    expected = theirs(x, relative_position_embeddings=waves(x.float()).double())[0]  # their waves are float32
    found = attention(ours, theirs.linear_q(x), theirs.linear_k(x), theirs.linear_v(x))
    assert_same(theirs.linear_out(found), expected, TOLERANCE)


def test_continuous_position_bias():
    """Swin V2 on a strip of 1 x L: log2 of i - j over 3, ReLU, 16 sigmoid around the network, cosines as scores.

    Pretrained on a window of 9, its coordinates are whole distances. GELU units a billion times as steep are ReLU.
    """
    from transformers import Swinv2Config
    from transformers.models.swinv2.modeling_swinv2 import Swinv2SelfAttention

    config = Swinv2Config(attention_probs_dropout_prob=0.0)
    theirs = Swinv2SelfAttention(config, D_MODEL, HEADS, (1, LENGTH), pretrained_window_size=[9, 9])
    theirs.logit_scale.requires_grad_(False)
    logit_scale, steep = float(theirs.logit_scale[0].exp()), 1e9
    for layer in (theirs.query, theirs.key, theirs.value, theirs.continuous_position_bias_mlp):
        perturbed(layer)
    theirs.double().eval()
    expand, _, output = theirs.continuous_position_bias_mlp
    ours = Cpb(SIZE, hidden=len(expand.bias)).double()
    load(ours.expand.weight, -steep / math.log(8) * expand.weight[:, 1:])
    load(ours.expand.bias, steep * expand.bias)
    load(ours.output.weight, output.weight / steep)
    x = draw(1, LENGTH, D_MODEL)
    q, k = (nn.functional.normalize(heads(layer(x)), dim=-1) for layer in (theirs.query, theirs.key))
    around = Dense(16 * bias(ours, LENGTH).sigmoid()[None])
    found = attend(q, k, heads(theirs.value(x)), positions(), scale=logit_scale, bias=around)
    assert_same(found.flatten(-2), theirs(x)[0], TOLERANCE)


@pytest.mark.parametrize("num_heads", [4, 8, 12])
def test_alibi_of_a_causal_model(num_heads):
    """BLOOM adds slope * j and lets the mask do the rest: on keys up to the query its weights are ours, symmetric."""
    from transformers.models.bloom.modeling_bloom import build_alibi_tensor

    size = Size(WIDTH * num_heads, num_heads, 1, LENGTH)
    ours = Alibi(size, symmetric=True, learnable=False)
    mask = torch.ones(2, LENGTH, dtype=torch.long)
    mask[1, :7] = 0  # both count from the first real token
    blank = torch.zeros(2, LENGTH, num_heads, WIDTH, dtype=torch.float64)
    term = ours.bias(blank.flatten(-2), blank, blank, Positions.from_mask(mask)).dense().expand(2, -1, -1, -1)
    theirs = build_alibi_tensor(mask, num_heads, torch.float64).unflatten(0, (2, num_heads))
    for row, first in ((0, 0), (1, 7)):
        hidden = torch.ones(LENGTH - first, LENGTH - first).triu(1).bool()
        found, expected = (
            scores[..., first:, first:].masked_fill(hidden, float("-inf")).softmax(-1)
            for scores in (term[row], theirs[row].expand(-1, LENGTH, -1))
        )
        assert_same(found, expected)


@pytest.mark.parametrize("extent", [8, 64])
def test_distance_profile(extent):
    """Inkling 2 looks to the left alone and clips long mixtures: our right half is 0, its threshold out of reach."""
    from transformers.models.inkling2.configuration_inkling2 import Inkling2TextConfig
    from transformers.models.inkling2.modeling_inkling2 import Inkling2RelativePositionBias

    config = Inkling2TextConfig(hidden_size=D_MODEL, d_rel=6, rel_l2_clip_threshold=1e6)
    theirs = perturbed(Inkling2RelativePositionBias(config, HEADS, extent, log_scaling=False)).double()
    ours, x = DistanceProfile(SIZE, reach=extent - 1, profiles=6).double(), draw(1, LENGTH, D_MODEL)
    left = theirs.proj.flip(1)
    load(ours.bank, torch.cat([left, torch.zeros_like(left[:, 1:])], 1))
    load(ours.mix.weight, theirs.norm.scale.flatten()[:, None] * theirs.linear.weight)
    index = torch.arange(LENGTH)
    found = ours.bias(x, heads(x), heads(x), positions()).dense()
    assert_same(found, theirs(x, index[:, None] - index, index[None]), TOLERANCE)
