"""Rotations of queries and keys by `transformers`, rotary-embedding-torch and PoPE-pytorch, all computed in float32."""

import pytest
import torch

from scriptchain.positions import Pope, Rope

from .ours import D_MODEL, HEADS, LENGTH, PARITY, SIZE, TOLERANCE, WIDTH, assert_same, draw, perturbed, positions

pytestmark = PARITY


def rotated(encoding, dtype=torch.float32):
    """Queries and keys `(1, H, L, E)` before and after, as the libraries have them."""
    q, k = (draw(1, LENGTH, HEADS, WIDTH, seed=seed, dtype=dtype) for seed in (1, 2))
    return tuple(x.transpose(1, 2) for x in (q, k, *encoding.rotate(q, k, positions())))


@pytest.mark.parametrize("base", [10_000.0, 40.0])
@pytest.mark.parametrize(
    ("parameters", "options"),
    [
        ({"rope_type": "default"}, {}),
        ({"rope_type": "linear", "factor": 3.0}, {"scaling": "linear", "factor": 3.0}),
        ({"rope_type": "dynamic", "factor": 2.0}, {"scaling": "ntk", "factor": 3.0}),
        ({"rope_type": "proportional", "partial_rotary_factor": 0.5}, {"p": 0.5}),
    ],
    ids=["default", "linear", "dynamic", "proportional"],
)
def test_transformers(parameters, options, base):
    """The half layout is theirs too; their dynamic NTK finds its factor from the length: 2 at twice the length is 3."""
    from transformers import LlamaConfig
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding, apply_rotary_pos_emb

    config = LlamaConfig(
        hidden_size=D_MODEL, num_attention_heads=HEADS, max_position_embeddings=LENGTH // 2,
        rope_parameters={"rope_theta": base, **parameters},
    )  # fmt: skip
    q, k, our_q, our_k = rotated(Rope(SIZE, base=base, **options))
    cos, sin = LlamaRotaryEmbedding(config)(q, torch.arange(LENGTH)[None])
    their_q, their_k = apply_rotary_pos_emb(q, k, cos, sin)
    assert_same(our_q, their_q, TOLERANCE)
    assert_same(our_k, their_k, TOLERANCE)


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ({}, {}),
        ({"theta": 40.0}, {"base": 40.0}),
        ({"interpolate_factor": 3.0}, {"scaling": "linear", "factor": 3.0}),
        ({"theta_rescale_factor": 3.0}, {"scaling": "ntk", "factor": 3.0}),
    ],
    ids=["default", "base", "linear", "ntk"],
)
def test_rotary_embedding_torch(arguments, options):
    """Its pairs are neighbors: our interleaved layout. In a half type its positions are rounded, so float32 it is."""
    from rotary_embedding_torch import RotaryEmbedding

    q, k, our_q, our_k = rotated(Rope(SIZE, layout="interleaved", **options))
    theirs = RotaryEmbedding(WIDTH, **arguments)
    assert_same(our_q, theirs.rotate_queries_or_keys(q), TOLERANCE)
    assert_same(our_k, theirs.rotate_queries_or_keys(k), TOLERANCE)


def test_pope():
    """It puts cosine and sine of a channel side by side, ours all cosines first, and keeps angles in -2 pi .. 0."""
    from PoPE_pytorch import PoPE

    theirs = perturbed(PoPE(WIDTH, heads=HEADS))
    theirs.bias.data.abs_().neg_()
    ours = Pope(SIZE)
    ours.shift.data.copy_(theirs.bias.detach())
    q, k, our_q, our_k = rotated(ours)
    their_q, their_k = theirs.apply_pope_to_qk(theirs(LENGTH), q, k)
    assert_same(our_q, torch.cat([their_q[..., 0::2], their_q[..., 1::2]], -1), TOLERANCE)
    assert_same(our_k, torch.cat([their_k[..., 0::2], their_k[..., 1::2]], -1), TOLERANCE)
    assert_same(our_q @ our_k.mT, their_q @ their_k.mT, TOLERANCE)
