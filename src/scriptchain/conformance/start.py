"""Before it learns anything, a learnable relative encoding is exactly a named static one."""

import torch

from ..positions import PositionalEncoding, Positions
from .gradients import through
from .inputs import difference, draw


def check_start(learned: PositionalEncoding, static: PositionalEncoding, p: Positions) -> None:
    assert list(learned.parameters()), "what starts somewhere must learn"
    assert not list(static.parameters()), "what it starts at must not learn"
    x = draw(*p.valid.shape, learned.size.d_model)
    with torch.no_grad():
        apart = difference(through(learned, x, p)[p.valid], through(static, x, p)[p.valid])
    assert apart < 1e-6, f"it must start at the static encoding, starts {apart} away"
