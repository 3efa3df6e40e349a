"""No positions: an encoder without them is a bag of words.

Every layer maps sets to sets, so a shuffled text gets the same logits. It is the control that every claim about
positions is held against. (A causal model can count tokens without an encoding; a bidirectional one cannot.)
"""

from typing import final

from ._protocol import PositionalEncoding


@final
class NoPositions(PositionalEncoding):
    """Does nothing in all four places.

    *Source*: arXiv 2203.16634, arXiv 2305.19466 (both for causal models).
    """

    source = "arXiv 2203.16634"
