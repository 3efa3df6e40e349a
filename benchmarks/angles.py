"""How far rotations in bfloat16 turn from where they should: greatest error of an angle at position 2047, in radians.

usage: python benchmarks/angles.py   Public modules are measured where they are installed (benchmarks/parity.txt).
Each module and its input are cast to bfloat16; every pair of channels starts as (1, 0), so that the angle can be read
from the result. An angle that is exact is still rounded with its sine and cosine.
"""

import importlib.metadata
import importlib.util
import math
from collections.abc import Callable

import torch
from machine import machine
from torch import Tensor

WIDTH, LENGTH, BASE = 64, 2_048, 10_000.0
HALF = torch.bfloat16


def unit(interleaved: bool) -> Tensor:
    """(1, LENGTH, 1, WIDTH): each pair of channels is (1, 0)."""
    x = torch.zeros(1, LENGTH, 1, WIDTH, dtype=HALF)
    if interleaved:
        x[..., 0::2] = 1
    else:
        x[..., : WIDTH // 2] = 1
    return x


def error(turned: Tensor, interleaved: bool) -> float:
    """The greatest distance on the circle between the last token's angles and their float64 values."""
    last = turned.reshape(LENGTH, WIDTH)[-1].double()
    a, b = (last[0::2], last[1::2]) if interleaved else last.chunk(2)
    exact = (LENGTH - 1) * BASE ** (-torch.arange(WIDTH // 2, dtype=torch.float64) / (WIDTH // 2))
    apart = torch.atan2(b, a) - exact
    return float(torch.atan2(apart.sin(), apart.cos()).abs().max())


def ours(learnable: bool = False) -> float:
    from scriptchain.positions import Positions, Rope, Size

    rope = Rope(Size(WIDTH, 1, 1, LENGTH), learnable=learnable).to(HALF)
    x = unit(False)
    with torch.no_grad():
        return error(rope.rotate(x, x, Positions.from_lengths(torch.tensor([LENGTH])))[0], False)


def rotary_embedding_torch() -> float:
    from rotary_embedding_torch import RotaryEmbedding

    rotary = RotaryEmbedding(WIDTH).to(HALF)
    with torch.no_grad():
        return error(rotary.rotate_queries_or_keys(unit(True).transpose(1, 2)).transpose(1, 2), True)


def x_transformers() -> float:
    from x_transformers.x_transformers import RotaryEmbedding, apply_rotary_pos_emb

    frequencies, scale = RotaryEmbedding(WIDTH).to(HALF).forward_from_seq_len(LENGTH)
    # Which layout it turns is read from the result: the other one leaves the length of a pair.
    turned = {
        layout: apply_rotary_pos_emb(unit(layout).transpose(1, 2), frequencies, scale).transpose(1, 2)
        for layout in (True, False)
    }
    return min(error(value, layout) for layout, value in turned.items())


def transformers() -> float:
    from transformers.models.modernbert import modeling_modernbert as modernbert

    settings = modernbert.ModernBertConfig(
        hidden_size=WIDTH, num_attention_heads=1, num_hidden_layers=1, max_position_embeddings=LENGTH
    )
    rotary = modernbert.ModernBertRotaryEmbedding(settings)
    kind = settings.layer_types[0]
    with torch.no_grad():
        base = settings.rope_parameters[kind]["rope_theta"]
        rotary = modernbert.ModernBertRotaryEmbedding(settings).to(HALF)
        cos, sin = rotary(unit(False)[:, :, 0], torch.arange(LENGTH).unsqueeze(0), kind)
        x = unit(False).transpose(1, 2)
        turned, _ = modernbert.apply_rotary_pos_emb(x, x, cos, sin)
    last = turned.reshape(LENGTH, WIDTH)[-1].double()
    a, b = last.chunk(2)
    exact = (LENGTH - 1) * base ** (-torch.arange(WIDTH // 2, dtype=torch.float64) / (WIDTH // 2))
    apart = torch.atan2(b, a) - exact
    return float(torch.atan2(apart.sin(), apart.cos()).abs().max())


PUBLIC: dict[str, Callable[[], float]] = {
    "rotary-embedding-torch": rotary_embedding_torch,
    "x-transformers": x_transformers,
    "transformers": transformers,
}


def main() -> None:
    print(machine(), flush=True)
    print(f"half a circle is {math.pi:.2f}")
    print(f"ours: {ours():.4f}, with learnable frequencies {ours(learnable=True):.4f}")
    for name, measure in PUBLIC.items():
        if importlib.util.find_spec(name.replace("-", "_")) is None:
            print(f"{name}: not installed")
        else:
            print(f"{name} {importlib.metadata.version(name)}: {measure():.4f}")


if __name__ == "__main__":
    main()
