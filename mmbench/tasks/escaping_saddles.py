"""The game of Adolphs et al. with a stable point that is no Nash equilibrium."""

import math
from dataclasses import dataclass
from typing import final

from torch import Tensor

from mmbench.core.domains import Coordinate
from mmbench.core.source import Source
from mmbench.tasks._plane import FormulaTask

ROOT = math.sqrt(2)


@final
@dataclass(frozen=True, kw_only=True)
class EscapingSaddles(FormulaTask):
    """Escaping saddles: gradient steps are drawn to a point that no player wants.

        f(x, y) = 2x² + y² + 4xy + (4/3) y³ − y⁴/4

    Gradient flow is stable at (0, 0), where y could gain in both directions, and at the
    local Nash equilibrium (−2 − √2, 2 + √2). About a quarter of uniform starts end at
    the first.

    Args:
        start_at: first point (x, y); none draws a uniform one on [−5, 5]².

    Solutions: (−2 − √2, 2 + √2), the only local Nash equilibrium. Stationary are also
        (0, 0), which is stable, and (−2 + √2, 2 − √2), a saddle.
    Source: Adolphs, Daneshmand, Lucchi and Hofmann 2019.
    """

    start_at: tuple[Coordinate, Coordinate] | None = None

    source = Source(
        authors="Adolphs, Daneshmand, Lucchi and Hofmann",
        year=2019,
        title="Local Saddle Point Optimization: A Curvature Exploitation Approach",
        link="https://arxiv.org/abs/1805.05751",
    )
    points = {
        "nash": ((-2 - ROOT, 2 + ROOT),),
        "minimax": ((-2 - ROOT, 2 + ROOT),),
        "stationary": ((0.0, 0.0), (-2 + ROOT, 2 - ROOT), (-2 - ROOT, 2 + ROOT)),
    }
    declared = "nash"
    half_width = 5.0

    def formula(self, x: Tensor, y: Tensor) -> Tensor:
        """Return f, shape (runs,)."""
        return 2 * x**2 + y**2 + 4 * x * y + 4 / 3 * y**3 - y**4 / 4
