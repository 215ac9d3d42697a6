"""The game of Letcher whose only stationary point is worst for both players."""

from dataclasses import dataclass
from typing import final

from torch import Tensor

from mmbench.core.domains import Coordinate
from mmbench.core.source import Source
from mmbench.tasks._plane import FormulaTask


@final
@dataclass(frozen=True, kw_only=True)
class WorstForBoth(FormulaTask):
    """Letcher's game: no reasonable method may converge.

        f(x, y) = xy − x²/2 + y²/2 + x⁴/4 − y⁴/4

    The only stationary point is a strict maximum of each player's loss. Bounded methods
    cycle: gradient steps of 0.01 at a distance of 1.07 to 1.25.

    Args:
        start_at: first point (x, y); none draws a standard normal one.

    Solutions: none; (0, 0) is stationary, and a method that goes there is wrong.
    Source: Letcher 2021.
    """

    start_at: tuple[Coordinate, Coordinate] | None = None

    source = Source(
        authors="Letcher",
        year=2021,
        title="On the Impossibility of Global Convergence in Multi-Loss Optimization",
        link="https://arxiv.org/abs/2005.12649",
    )
    points = {"stationary": ((0.0, 0.0),)}

    def formula(self, x: Tensor, y: Tensor) -> Tensor:
        """Return f, shape (runs,)."""
        return x * y - x**2 / 2 + y**2 / 2 + x**4 / 4 - y**4 / 4
