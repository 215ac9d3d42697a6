"""The quadratic game ax² + bxy + cy² of implicit competitive regularization."""

from dataclasses import dataclass
from typing import final

from torch import Tensor

from mmbench.core.capability import Capability
from mmbench.core.domains import Coordinate, Finite
from mmbench.core.literature import SCHAEFER_2020
from mmbench.core.placement import Placement
from mmbench.tasks._plane import PlaneGame, PlaneTask


@final
@dataclass(frozen=True, kw_only=True)
class Quadratic(PlaneTask):
    """Quadratic game: simultaneous steps can converge to a point that is worst for y.

        f(x, y) = a x² + b x y + c y²

    With (a, b, c) = (1, 10, 1), y alone diverges from any start, and simultaneous steps
    (0.09, 0.01) converge to (0, 0): implicit competitive regularization. Other games of
    the literature, at whose (0, 0) concepts and methods disagree:

        a      b    c     (0, 0) is
        -3     4    -1    g₁ of Wang et al. 2020: minimax, GDA unstable
        3      4    1     g₂ of Wang et al. 2020: not minimax, GDA stable
        -2     4    -1    minimax; GDA stable from ηᵧ/ηₓ > 2 on
        -1/8   3/5  -1/2  Daskalakis and Panageas 2018: minimax, GDA stable
        1/2    4    1/2   Daskalakis and Panageas 2018: OGDA stable, GDA unstable
        1/2    10   -1/2  Balduzzi et al. 2018: Nash, with strong rotation

    Args:
        a: coefficient of x², half of the second derivative in x.
        b: coefficient of xy, the mixed second derivative.
        c: coefficient of y², half of the second derivative in y.
        start_at: first point (x, y); none draws a standard normal one.

    Solutions: (0, 0) is stationary, the only such point unless 4ac = b². It is a Nash
        equilibrium for a ≥ 0 ≥ c, and local minimax for c < 0 < a − b²/4c. By default
        it is neither, so that reaching it describes a method and is no success in
        general.
    Source: Schäfer, Zheng and Anandkumar 2020, equation 3.
    """

    a: Finite = 1.0
    b: Finite = 10.0
    c: Finite = 1.0
    start_at: tuple[Coordinate, Coordinate] | None = None

    source = SCHAEFER_2020.at("equation 3")

    @property
    def gives(self) -> frozenset[Capability]:
        """The capabilities of the game beyond its losses."""
        given = {Capability.ZERO_SUM, Capability.SOLUTION, Capability.PLANE}
        if 4 * self.a * self.c != self.b * self.b:
            given |= {Capability.STATIONARY}
            given |= {Capability.NASH} if self.a >= 0 >= self.c else set()
            given |= {Capability.MINIMAX} if self._is_minimax else set()
        return frozenset(given)

    @property
    def _is_minimax(self) -> bool:
        """Whether (0, 0) is strictly local minimax."""
        return self.c < 0 < self.a - self.b * self.b / (4 * self.c)

    def build(self, placement: Placement) -> "QuadraticGame":
        """Build the game."""
        return QuadraticGame(self, placement)


class QuadraticGame(PlaneGame):
    """The game ax² + bxy + cy².

    Args:
        task: description of the game.
        placement: device and dtype of the tensors.
    """

    def __init__(self, task: Quadratic, placement: Placement) -> None:
        super().__init__(placement)
        self._a, self._b, self._c = task.a, task.b, task.c

    def losses(
        self, x: Tensor, y: Tensor, sample: None, *, train: bool = True
    ) -> tuple[Tensor, Tensor]:
        """Return f and its negative, each of shape (runs,).

        Args:
            x: first player, shape (runs, 1).
            y: second player, shape (runs, 1).
            sample: no minibatch.
            train: no effect.
        """
        squares_x = _scaled(self._a, x) * x
        mixed = _scaled(self._b, x) * y
        f = (squares_x + mixed + _scaled(self._c, y) * y).sum(1)
        return f, -f


def _scaled(coefficient: float, part: Tensor) -> Tensor:
    """Return a multiple of a part; to multiply by 1 takes a tenth of a step."""
    return part if coefficient == 1 else coefficient * part
