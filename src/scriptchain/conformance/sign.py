"""bias[b, h, i, j] is what query i adds to its score of key j: an asymmetric table tells i - j from j - i."""

from collections.abc import Callable

import torch
from torch import Tensor

from ..positions import Dense, Positions

LENGTH = 5
OFFSETS = [[1, -2], [2, -1]]  # of each text and head: the query looks this many tokens back


def check_sign(attend: Callable[..., Tensor], backend: str, packed: bool) -> None:
    tables = torch.full((2, 2, LENGTH, LENGTH), -30.0)
    for b in range(2):
        for h in range(2):
            for i in range(LENGTH):
                for j in range(LENGTH):
                    if i - j == OFFSETS[b][h]:
                        tables[b, h, i, j] = 30.0
    same = torch.ones(2, LENGTH, 2, 3)
    value = torch.eye(LENGTH)[None, :, None].expand(2, LENGTH, 2, LENGTH)  # a value says which key it belongs to
    p = Positions.from_lengths(torch.tensor([LENGTH, LENGTH]))
    if packed:
        p = Positions.from_packed(torch.arange(2).repeat_interleave(LENGTH))
        same, value = same.flatten(0, 1), value.flatten(0, 1)
        whole = torch.zeros(1, 2, 2 * LENGTH, 2 * LENGTH)
        for b in range(2):
            own = slice(b * LENGTH, (b + 1) * LENGTH)
            whole[0, :, own, own] = tables[b]
        tables = whole
    output = attend(same, same, value, p, scale=1.0, bias=Dense(tables), backend=backend)
    found = output.reshape(2, LENGTH, 2, LENGTH)
    for b in range(2):
        for h in range(2):
            for i in range(LENGTH):
                key = i - OFFSETS[b][h]
                if 0 <= key < LENGTH:
                    assert int(found[b, i, h].argmax()) == key, f"query {i} must see key {key} of text {b}, head {h}"
                    assert abs(float(found[b, i, h, key]) - 1) < 1e-6, f"query {i} must see key {key} alone"
