"""Attention over padded batches and packed streams, with any bias."""

from .attend import attend

__all__ = ["attend"]
