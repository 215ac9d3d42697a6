"""Quadratic games with any two losses, and their second derivatives as matrices."""

from dataclasses import dataclass

import torch
from torch import Tensor

from mmbench.core.capability import Capability
from mmbench.core.game import Game
from mmbench.core.placement import Placement
from mmbench.tasks.base import Task


@dataclass(frozen=True, kw_only=True)
class TwoLosses(Task):
    """A game of two quadratic losses ½ z'Pz and ½ z'Qz with random P and Q.

    Args:
        dim_x: length of x.
        dim_y: length of y.
        seed: of the matrices.
        is_zero_sum: whether Q = -P.
    """

    dim_x: int = 2
    dim_y: int = 3
    seed: int = 0
    is_zero_sum: bool = False

    @property
    def gives(self) -> frozenset[Capability]:
        """The capabilities of the game beyond its losses."""
        zero_sum = {Capability.ZERO_SUM} if self.is_zero_sum else set()
        return frozenset({Capability.SOLUTION, *zero_sum})

    @property
    def metrics(self) -> tuple[str, ...]:
        """No metrics."""
        return ()

    def matrices(self) -> tuple[Tensor, Tensor]:
        """Return P and Q in float64."""
        random = torch.Generator().manual_seed(self.seed)
        size = self.dim_x + self.dim_y
        a, b = torch.randn(2, size, size, generator=random, dtype=torch.float64)
        return a + a.T, -(a + a.T) if self.is_zero_sum else b + b.T

    def jacobian(self) -> Tensor:
        """Return the Jacobian of F: the rows of P for x, those of Q for y."""
        p, q = self.matrices()
        return torch.cat((p[: self.dim_x], q[self.dim_x :]))

    def build(self, placement: Placement) -> Game:
        """Build the game."""
        return TwoLossesGame(self, placement)

    def start(self, game: Game, generator: torch.Generator) -> Tensor:
        """Return a standard normal point."""
        return torch.randn(game.dim, generator=generator, dtype=game.dtype)


class TwoLossesGame(Game):
    """The losses ½ z'Pz and ½ z'Qz."""

    def __init__(self, task: TwoLosses, placement: Placement) -> None:
        self.dim_x, self.dim_y = task.dim_x, task.dim_y
        self.zero_sum, self.dtype = task.is_zero_sum, placement.dtype
        self._p, self._q = (one.to(placement.dtype) for one in task.matrices())

    def losses(
        self, x: Tensor, y: Tensor, sample: None, *, train: bool = True
    ) -> tuple[Tensor, Tensor]:
        """Return both losses."""
        z = torch.cat((x, y), dim=1)
        of_x = (z * (z @ self._p)).sum(1) / 2
        return of_x, -of_x if self.zero_sum else (z * (z @ self._q)).sum(1) / 2

    def distance(self, z: Tensor, concept: str) -> Tensor:
        """Return the distance to the origin."""
        return z.norm(dim=1)
