"""What every law is asked with: small sizes, seeded numbers, texts, padding, and how far apart two outputs are."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor, nn

from ..data.tokenizer import CLS, SPECIAL
from ..positions import Positions, Size

SIZE = Size(d_model=8, num_heads=2, num_layers=2, max_seq_len=12)
VOCAB = 32
SAME = 1e-5  # float32 logits of order 1 that should be equal
CHANGED = 1e-3  # and those that should not

Module = TypeVar("Module", bound=nn.Module)


def draw(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    """Standard normal numbers that depend on the seed and the shape alone."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


@contextmanager
def seeded(seed: int = 0) -> Iterator[None]:
    """What is built inside has numbers of this seed; the global state is left as it was."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


def perturbed(module: Module, seed: int = 7) -> Module:
    """The module with every parameter that learns moved away from its initial value, in evaluation mode."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in filter(lambda parameter: parameter.requires_grad, module.parameters()):
            parameter.add_(torch.randn(parameter.shape, generator=generator).to(parameter.dtype), alpha=0.3)
    return module.eval()


def texts(*lengths: int, cls: bool = True) -> list[Tensor]:
    """Token ids of texts of these lengths, no token twice in a text, [CLS] before each unless told otherwise."""
    generator = torch.Generator().manual_seed(sum(lengths))
    drawn = [len(SPECIAL) + torch.randperm(VOCAB - len(SPECIAL), generator=generator)[:length] for length in lengths]
    for ids in drawn:
        if cls:
            ids[0] = CLS
    return drawn


def scatter(ids: Sequence[Tensor], masks: Tensor, seed: int = 0) -> Tensor:
    """The texts on the true places of their masks, garbage elsewhere: any token, [CLS] among them."""
    batch = torch.randint(0, VOCAB, masks.shape, generator=torch.Generator().manual_seed(seed))
    for row, mask, text in zip(batch, masks, ids, strict=True):
        row[mask] = text
    return batch


def padding(lengths: Sequence[int], width: int, side: str) -> Tensor:
    """The mask of a batch that is padded on the left or the right."""
    place = torch.arange(width).expand(len(lengths), -1)
    length = torch.tensor(lengths).unsqueeze(1)
    return place < length if side == "right" else place >= width - length


def streams(width: int = SIZE.max_seq_len) -> list[Positions]:
    """One of each form that positions come in: padded on both sides, packed `(N,)`, `(1, N)`; two with a [CLS]."""
    segment = torch.tensor([5, 5, 5, 2, 9, 9])
    first = torch.tensor([True, False, False, True, True, False])
    left = padding([3, width, 1], width, "left")
    return [
        Positions.from_mask(padding([3, width, 1], width, "right")),
        Positions.from_mask(left, special=left & (left.cumsum(1) == 1)),
        Positions.from_packed(segment, special=first),
        Positions.from_packed(segment.unsqueeze(0)),
    ]


def difference(one: Tensor, other: Tensor) -> float:
    return (one.double() - other.double()).abs().max().item()
