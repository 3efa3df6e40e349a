"""What was asked before changes no answer: nothing is kept from a batch of another padding, length or number type."""

from scriptchain.conformance.adapter import adapted
from scriptchain.conformance.inputs import SIZE
from scriptchain.conformance.memory import check_memory

from .rows import build, rows


@rows()
def test_memory(row):
    check_memory(adapted(build(row)), SIZE.max_seq_len)
