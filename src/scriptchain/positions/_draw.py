"""Random numbers of position policies: one draw a text, whatever its padding or packing."""

from collections.abc import Callable

from jaxtyping import Num
from torch import Tensor

from ._positions import Positions


def of_each_text(p: Positions, draw: Callable[[int], Tensor]) -> Num[Tensor, "*T"]:
    """`draw(number of texts)` gives one number a text; each token gets its text's."""
    texts = int(p.segment.max()) + 1 if p.packed else p.segment.shape[0]
    return draw(texts).to(p.segment.device)[p.segment]
