"""`num_parameters` is what tables and docs print: the learned numbers of one instance at its default options."""

from ..positions import PositionalEncoding, Size


def check_parameters(encoding: type[PositionalEncoding], size: Size) -> None:
    learned = sum(parameter.numel() for parameter in encoding(size).parameters())
    assert encoding.num_parameters(size) == learned, "num_parameters must be the count of learned numbers"
    assert all(parameter.requires_grad for parameter in encoding(size).parameters()), "parameters must learn"
    assert (encoding.learns == "nothing") == (learned == 0), "learns must say whether anything is learned"
