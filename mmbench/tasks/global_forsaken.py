"""The game GlobalForsaken, which step sizes decide."""

from dataclasses import dataclass
from typing import final

from torch import Tensor

from mmbench.core.domains import Coordinate
from mmbench.core.literature import PETHICK_2022
from mmbench.tasks._plane import FormulaTask


@final
@dataclass(frozen=True, kw_only=True)
class GlobalForsaken(FormulaTask):
    """GlobalForsaken: small steps of extragradient stay on a cycle, larger ones leave.

        f(x, y) = xy + ψ(x) − ψ(y),   ψ(z) = (2/21) z⁶ − z⁴/3 + z²/3

    Both players stay within [−3/2, 3/2]. From (1, 1) extragradient with η = 0.01 ends
    on a cycle at a distance of 1.29 to 1.32, and converges with η = 0.1.

    Args:
        start_at: first point (x, y); none draws a uniform one on the square.

    Solutions: (0, 0), a local Nash equilibrium and the only stationary point.
    Source: Pethick, Latafat, Patrinos, Fercoq and Cevher 2022.
    """

    start_at: tuple[Coordinate, Coordinate] | None = None

    source = PETHICK_2022
    points = dict.fromkeys(("nash", "minimax", "stationary"), ((0.0, 0.0),))
    declared = "nash"
    half_width = 1.5
    box = (1.5, 1.5)

    def formula(self, x: Tensor, y: Tensor) -> Tensor:
        """Return f, shape (runs,)."""

        def psi(z: Tensor) -> Tensor:
            return 2 * z**6 / 21 - z**4 / 3 + z**2 / 3

        return x * y + psi(x) - psi(y)
