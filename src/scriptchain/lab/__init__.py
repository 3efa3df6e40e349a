"""What depth does to a stack: measured, fitted, judged."""

from .claims import Claim, costs, judge
from .cost import Cost, cost
from .laws import Fit, exponent, fit_laws

__all__ = ["Claim", "Cost", "Fit", "cost", "costs", "exponent", "fit_laws", "judge"]
