"""Which encoding for my data: candidates trained side by side, paired, and what can be said of their differences."""

from .arms import FAMILIES, Arm, arms_of, baseline_of
from .comparison import Plan, compare
from .pool import Pool
from .rows import Rows

__all__ = ["FAMILIES", "Arm", "Plan", "Pool", "Rows", "arms_of", "baseline_of", "compare"]
