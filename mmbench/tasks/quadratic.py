"""Quadratic: ax² + bxy + cy², the game of implicit competitive regularization."""

from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from mmbench.core.capability import Capability
from mmbench.core.domains import Finite
from mmbench.core.game import Game
from mmbench.core.literature import SCHAEFER_2020
from mmbench.core.placement import Placement
from mmbench.tasks.base import (
    SOLVED_METRICS,
    SOLVED_TARGET,
    Target,
    Task,
    plane_start,
)


@final
@dataclass(frozen=True, kw_only=True)
class Quadratic(Task):
    """Quadratic game: by default y's worst point attracts when both players move.

        f(x, y) = a x² + b x y + c y²

    With (a, b, c) = (1, 10, 1), y alone diverges from any start, and simultaneous steps
    (0.09, 0.01) converge to (0, 0): implicit competitive regularization.

    Args:
        a: half of f_xx.
        b: f_xy.
        c: half of f_yy.
        start_at: first point (x, y); none draws one for each run, standard normal.

    Solutions: (0, 0) is stationary; by default it is neither a Nash equilibrium nor
        minimax, so reaching it is a fact about the method, not a success in general.
    Source: Schäfer, Zheng and Anandkumar 2020, equation 3.
    """

    a: Finite = 1.0
    b: Finite = 10.0
    c: Finite = 1.0
    start_at: tuple[Finite, Finite] | None = None

    source = SCHAEFER_2020.at("equation 3")

    @property
    def gives(self) -> frozenset[Capability]:
        """What the game gives beyond its losses."""
        return frozenset({Capability.ZERO_SUM, Capability.SOLUTION, Capability.PLANE})

    @property
    def metrics(self) -> tuple[str, ...]:
        """Words of the metrics measured when none are chosen."""
        return SOLVED_METRICS

    @property
    def target(self) -> Target:
        """What counts as reached."""
        return SOLVED_TARGET

    @property
    def width(self) -> int:
        """Runs computed side by side on a CPU."""
        return 512  # two numbers a run cost nothing

    def build(self, placement: Placement) -> "QuadraticGame":
        """The game, on a device."""
        return QuadraticGame(self, placement)

    def start(self, game: Game, generator: torch.Generator) -> Float[Tensor, "dim"]:
        """Where one run starts."""
        return plane_start(self.start_at or (), 2, game, generator)


class QuadraticGame(Game):
    """ax² + bxy + cy²."""

    dim_x = dim_y = 1

    def __init__(self, task: Quadratic, placement: Placement) -> None:
        self.device, self.dtype = placement.device, placement.dtype
        self._a, self._b, self._c = task.a, task.b, task.c

    def losses(
        self, x: Tensor, y: Tensor, sample: None, *, train: bool = True
    ) -> tuple[Tensor, Tensor]:
        """f and its negative."""
        f = (self._a * x * x + self._b * x * y + self._c * y * y).sum(1)
        return f, -f

    def distance(self, z: Tensor, concept: str) -> Tensor:
        """Distance to (0, 0)."""
        return z.norm(dim=1)
