"""What the four hooks of an encoding do to one text, as numbers: measured from outside, never asked of its name.

Everything is measured in float64 on a copy of the encoding. Shape suffixes: L tokens, D d_model,
H heads, E width of a head, C pairs of channels.
"""

from copy import deepcopy
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..attention import attend
from ..positions import PositionalEncoding, Positions

LONGEST = 512  # tokens; a picture has no room for more, and a bias is drawn from a square of them
SAME = 1e-9
STARTS_AT_ZERO = "random parameters: it starts at zero"
IN_TRAINING = "one random draw: in training only"
BY_CONTENT = "it depends on the text: drawn for random content"


@dataclass(frozen=True)
class Effect:
    """What one hook does; `hook` says which, and so what `values` are.

    place: coordinates, `(L,)`
    embed: what is added to the stream, `(L, D)`
    rotate: products of a query in the middle and a key at each place, both the same unit vector, `(H, L)`; `angles`,
        in radians from a position to the next, `(H, C)`, largest first, where the hook is a rotation
    bias: logits added to the scores of a query in the middle, `(H, L)`
    """

    hook: str
    values: NDArray[np.float64]
    acts: bool
    angles: NDArray[np.float64] | None = None
    notes: tuple[str, ...] = ()


def measure(encoding: PositionalEncoding) -> list[Effect]:
    """The effects of the hooks that change anything, over a text of `max_seq_len` tokens, at most 512.

    A hook that does nothing at the encoding's own parameters, as those that start at zero, is measured at seeded random
    ones, and one that does nothing even there in training mode; `notes` says so.
    """
    own = deepcopy(encoding).double().eval()
    moved = deepcopy(own)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        for parameter in moved.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype), alpha=0.3)
        ways = (((), own), ((STARTS_AT_ZERO,), moved), ((IN_TRAINING,), deepcopy(own).train()))
        effects: list[Effect] = []
        for hook in (_place, _embed, _rotate, _bias):
            for notes, candidate in ways:
                torch.manual_seed(0)
                effect = hook(candidate)
                if effect.acts:
                    effects.append(replace(effect, notes=(*notes, *effect.notes)))
                    break
    return effects


def _place(encoding: PositionalEncoding) -> Effect:
    p, placed = _text(encoding), encoding.place(_text(encoding))
    return Effect("place", placed.coordinate[0].double().numpy(), _differ(placed.coordinate, p.coordinate))


def _embed(encoding: PositionalEncoding) -> Effect:
    p = encoding.place(_text(encoding))
    empty = torch.zeros(1, p.index.shape[1], encoding.size.d_model, dtype=torch.float64)
    drawn = _draw(empty.shape, 0)
    added, added_to_drawn = encoding.embed(empty, p) - empty, encoding.embed(drawn, p) - drawn
    by_content = _differ(added, added_to_drawn)
    values = added_to_drawn if by_content else added
    return Effect("embed", values[0].numpy(), _differ(values, empty), notes=(BY_CONTENT,) * by_content)


def _rotate(encoding: PositionalEncoding) -> Effect:
    p = encoding.place(_text(encoding))
    width = encoding.size.d_model // encoding.size.num_heads
    shape = torch.Size([1, p.index.shape[1], encoding.size.num_heads, width])
    q, k = _draw(shape, 0), _draw(shape, 1)
    acts = any(_differ(now, before) for now, before in zip(encoding.rotate(q, k, p), (q, k), strict=True))
    unit = torch.full(shape, width**-0.5, dtype=torch.float64)
    q_LHE, k_LHE = (turned[0] for turned in encoding.rotate(unit, unit, p))
    products = torch.einsum("he,lhe->hl", q_LHE[len(q_LHE) // 2], k_LHE)
    return Effect("rotate", products.numpy(), acts, angles=_angles(encoding, width))


def _angles(encoding: PositionalEncoding, width: int) -> NDArray[np.float64] | None:
    """The turn from the first position to the second: the angles of its eigenvalues, whatever channels are paired."""
    p = encoding.place(Positions.from_lengths(torch.full((width,), 2)))
    basis = torch.eye(width, dtype=torch.float64)[:, None, None].expand(-1, 2, encoding.size.num_heads, -1)
    turned = encoding.rotate(basis, basis, p)[1].permute(1, 2, 0, 3)  # position, head, which unit vector, its image
    if turned.shape[-1] != width or _differ(turned @ turned.mT, basis[:, 0, 0].expand(turned.shape)):
        return None  # wider, or no rotation
    angles = np.sort(np.abs(np.angle(np.linalg.eigvals((turned[0].mT @ turned[1]).numpy()))), axis=-1)
    angles = angles[:, ::-2]  # each angle stands there twice, once a direction
    angles = np.where(angles > SAME, angles, 0.0)
    return angles if angles.any() else None


def _bias(encoding: PositionalEncoding) -> Effect:
    one, other = _logits(encoding, 0), _logits(encoding, 3)
    return Effect("bias", one.numpy(), _differ(one, torch.zeros_like(one)), notes=(BY_CONTENT,) * _differ(one, other))


def _logits(encoding: PositionalEncoding, seed: int) -> Tensor:
    """What the bias changes in the scores of the middle query, `(H, L)`, asked of `attend`, which knows all forms."""
    p = encoding.place(_text(encoding))
    length, size = p.index.shape[1], encoding.size
    x = _draw(torch.Size([1, length, size.d_model]), seed)
    shape = torch.Size([1, length, size.num_heads, size.d_model // size.num_heads])
    q, k = _draw(shape, seed + 1), _draw(shape, seed + 2)
    bias = encoding.bias(x, q, k, p)
    with_bias, without = {}, {}
    attend(q, k, k, p, scale=shape[-1] ** -0.5, bias=bias, trace=with_bias.__setitem__)
    attend(q, k, k, p, scale=shape[-1] ** -0.5, trace=without.__setitem__)
    return (with_bias["scores"] - without["scores"])[0, :, length // 2]


def _text(encoding: PositionalEncoding) -> Positions:
    return Positions.from_lengths(torch.tensor([min(encoding.size.max_seq_len, LONGEST)]))


def _draw(shape: torch.Size, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _differ(one: Tensor, other: Tensor) -> bool:
    return one.shape != other.shape or not torch.allclose(one.double(), other.double(), rtol=0, atol=SAME)
