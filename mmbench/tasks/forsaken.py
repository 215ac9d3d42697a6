"""The game Forsaken, whose stationary point lies behind a cycle."""

from dataclasses import dataclass
from typing import final

from torch import Tensor

from mmbench.core.domains import Coordinate
from mmbench.core.literature import HSIEH_2021
from mmbench.tasks._plane import FormulaTask

CRITICAL = (0.07802667, 0.41193385)


@final
@dataclass(frozen=True, kw_only=True)
class Forsaken(FormulaTask):
    """Forsaken: a stationary point that is shielded by an unstable cycle.

        f(x, y) = x (y − 0.45) + φ(x) − φ(y),   φ(z) = z²/4 − z⁴/2 + z⁶/6

    Gradient flow is stable at the only stationary point, but from a little further out
    it is drawn to an attracting cycle at distances 0.92 to 1.92, as is extragradient.

    Args:
        start_at: first point (x, y); none draws a standard normal one.

    Solutions: (0.0780, 0.4119) is stationary and stable; it is no local Nash
        equilibrium, since f_yy = 0.374 there.
    Source: Hsieh, Mertikopoulos and Cevher 2021.
    """

    start_at: tuple[Coordinate, Coordinate] | None = None

    source = HSIEH_2021
    points = {"stationary": (CRITICAL,)}
    declared = "stationary"

    def formula(self, x: Tensor, y: Tensor) -> Tensor:
        """Return f, shape (runs,)."""

        def phi(z: Tensor) -> Tensor:
            return z**2 / 4 - z**4 / 2 + z**6 / 6

        return x * (y - 0.45) + phi(x) - phi(y)
