"""What depth does to a stack: measured, fitted, judged."""

from .claims import Claim, costs, judge
from .cost import Cost, cost
from .examine import examine
from .laws import Fit, exponent, fit_laws
from .stack import Batch

__all__ = ["Batch", "Claim", "Cost", "Fit", "cost", "costs", "examine", "exponent", "fit_laws", "judge"]
