"""A text and its reversal get other logits where an encoding claims to be direction-aware, and only there."""

import pytest

from scriptchain.conformance.mirror import check_mirror

from .rows import network, rows


@pytest.mark.parametrize("residual", ["pre_norm", "post_norm"])
@rows()
def test_mirror(row, residual):
    check_mirror(network(row, pooling="mean", residual=residual), row.direction_aware)
