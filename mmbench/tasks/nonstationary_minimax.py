"""The game of Jin et al. whose global minimax points are not stationary."""

import math
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from mmbench.core.domains import Coordinate
from mmbench.core.game import Game
from mmbench.core.literature import JIN_2020
from mmbench.tasks._plane import FormulaTask
from mmbench.tasks.base import Numbers


@final
@dataclass(frozen=True, kw_only=True)
class NonstationaryMinimax(FormulaTask):
    """Nonstationary minimax: the best point for x is not where the field vanishes.

        f(x, y) = xy/5 − cos y,   |x| ≤ 1, |y| ≤ 2π

    For every x ≠ 0, y can gain more than f(0, ±π) = 1, by its choice among two
    maximisers; at (0, ±π) the derivative in x is ±π/5. Methods that look for a point
    where the field vanishes miss them.

    Args:
        start_at: first point (x, y); none draws a uniform one in the box.

    Solutions: (0, π) and (0, −π), global minimax. In the interior (0, 0) alone is
        stationary, where y could gain in both directions; on the edges |x| = 1 there
        are points where no player gains by a small step.
    Source: Jin, Netrapalli and Jordan 2020.
    """

    start_at: tuple[Coordinate, Coordinate] | None = None

    source = JIN_2020
    points = {
        "global_minimax": ((0.0, math.pi), (0.0, -math.pi)),
        "stationary": ((0.0, 0.0),),
    }
    declared = "global_minimax"
    box = (1.0, 2 * math.pi)

    def formula(self, x: Tensor, y: Tensor) -> Tensor:
        """Return f, shape (runs,)."""
        return x * y / 5 - torch.cos(y)

    def drawn(self, game: Game) -> Numbers:
        """Return what a run draws: a point, unless one is declared."""
        return super().drawn(game)._replace(is_normal=False)

    def starts(
        self, game: Game, numbers: Float64[Tensor, "runs amount"]
    ) -> Float[Tensor, "runs dim"]:
        """Return the declared first point, or those drawn in the box."""
        if not self.start_at:
            sides = torch.tensor(self.box, dtype=numbers.dtype)
            numbers = (2 * numbers - 1) * sides
        return super().starts(game, numbers)
