"""The game g₃ of follow-the-ridge: a ridge that decays far out."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from mmbench.core.domains import Coordinate
from mmbench.core.literature import WANG_2020
from mmbench.tasks._plane import FormulaTask


@final
@dataclass(frozen=True, kw_only=True)
class G3(FormulaTask):
    """Game g₃: a local minimax point that first-order methods circle around.

        f(x, y) = (4x² − (y − 3x + x³/20)² − y⁴/10) exp(−(x² + y²)/100)

    At (0, 0) the second derivatives are f_xx = −10, f_xy = 6, f_yy = −2, so that it is
    strictly local minimax and unstable under gradient flow.

    Args:
        start_at: first point (x, y); none draws a standard normal one. The authors
            start at (5, 7), (6, 5) and (7, 5).

    Solutions: (0, 0), local minimax and no Nash equilibrium. Further stationary points,
        all farther than 8 from it, are not among the known ones.
    Source: Wang, Zhang and Ba 2020.
    """

    start_at: tuple[Coordinate, Coordinate] | None = None

    source = WANG_2020
    points = {"minimax": ((0.0, 0.0),), "stationary": ((0.0, 0.0),)}
    declared = "minimax"

    def formula(self, x: Tensor, y: Tensor) -> Tensor:
        """Return f, shape (runs,)."""
        ridge = (y - 3 * x + x**3 / 20) ** 2
        return (4 * x**2 - ridge - y**4 / 10) * torch.exp(-(x**2 + y**2) / 100)
