"""Every test of this folder starts at the same random state."""

from .rows import seeded

__all__ = ["seeded"]
