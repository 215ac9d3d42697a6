"""The almost bilinear game, with a cycle that no stationary point is near."""

from dataclasses import dataclass
from typing import final

from torch import Tensor

from mmbench.core.domains import Coordinate, Scale
from mmbench.core.literature import HSIEH_2021
from mmbench.tasks._plane import FormulaTask


@final
@dataclass(frozen=True, kw_only=True)
class AlmostBilinear(FormulaTask):
    """Almost bilinear game: a small perturbation of xy that has an attracting cycle.

        f(x, y) = xy + ε (y²/2 − y⁴/4)

    To first order in ε the flow is drawn to the circle of radius 2/√3, which consists
    of points that are not stationary.

    Args:
        epsilon: ε, size of the perturbation.
        start_at: first point (x, y); none draws a standard normal one.

    Solutions: none that a method should find; (0, 0) is stationary and unstable.
    Source: Hsieh, Mertikopoulos and Cevher 2021.
    """

    epsilon: Scale = 0.01
    start_at: tuple[Coordinate, Coordinate] | None = None

    source = HSIEH_2021
    points = {"stationary": ((0.0, 0.0),)}

    def formula(self, x: Tensor, y: Tensor) -> Tensor:
        """Return f, shape (runs,)."""
        return x * y + self.epsilon * (y**2 / 2 - y**4 / 4)
