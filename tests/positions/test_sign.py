"""bias[b, h, i, j] is what query i adds to its score of key j: an asymmetric table tells i - j from j - i."""

import pytest

from scriptchain.attention import attend
from scriptchain.conformance.sign import check_sign


@pytest.mark.parametrize("packed", [False, True], ids=["padded", "packed"])
@pytest.mark.parametrize("backend", ["auto", "fused", "dense"])
def test_sign(backend, packed):
    check_sign(attend, backend, packed)
