"""Attention over padded batches and packed streams, with any bias."""

from .attend import attend
from .choice import explain
from .onnx import onnx_operator
from .table import Toeplitz

__all__ = ["Toeplitz", "attend", "explain", "onnx_operator"]
