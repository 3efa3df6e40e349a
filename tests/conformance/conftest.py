"""Every test of this folder starts at the same random state."""

from ..positions.rows import seeded

__all__ = ["seeded"]
