"""From a target's name to a diagnosis: what `scriptchain diagnose` runs."""

from .claims import judge_claim
from .diagnose import diagnose

__all__ = ["diagnose", "judge_claim"]
