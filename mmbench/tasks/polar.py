"""The polar game, a general-sum game with a trapping circle."""

from dataclasses import dataclass
from typing import final

from torch import Tensor

from mmbench.core.domains import Coordinate, Scale
from mmbench.core.literature import PETHICK_2022
from mmbench.tasks._plane import FormulaTask


@final
@dataclass(frozen=True, kw_only=True)
class Polar(FormulaTask):
    """Polar game: gradient flow is trapped on the unit circle, away from the solution.

        F(x, y) = (Ψ(x, y) − y, Ψ(y, x) + x),   Ψ(x, y) = (a/16) x (r² − 1)(16r² − 9)

    with r² = x² + y². In polar coordinates the flow is ṙ = −(a/16) r (r² − 1)(16r² − 9)
    and turns at unit speed: it goes to (0, 0) from r < 3/4 and to r = 1 from outside.
    A step η of extragradient adds −η r/2, which for a = 1/3 opens the circle where
    η > 0.0319.

    The losses are (a/32) G(r²) − xy for x and (a/32) G(r²) + xy for y, with
    G(s) = (16/3) s³ − (25/2) s² + 9s, so that the game is not zero-sum.

    Args:
        a: strength of attraction and repulsion relative to the rotation.
        start_at: first point (x, y); none draws a standard normal one.

    Solutions: (0, 0), the only stationary point, stable.
    Source: Pethick, Latafat, Patrinos, Fercoq and Cevher 2022.
    """

    a: Scale = 1 / 3
    start_at: tuple[Coordinate, Coordinate] | None = None

    source = PETHICK_2022
    points = {"stationary": ((0.0, 0.0),), "nash": ((0.0, 0.0),)}
    declared = "nash"
    zero_sum = False

    def formula(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return the losses of x and of y, shape (runs,) each."""
        s = x**2 + y**2
        shared = self.a / 32 * (16 / 3 * s**3 - 25 / 2 * s**2 + 9 * s)
        return shared - x * y, shared + x * y
