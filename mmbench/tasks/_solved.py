"""Convex-concave games with a single solution, which is known."""

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from mmbench.core.capability import Capability
from mmbench.core.game import Game
from mmbench.core.placement import Placement
from mmbench.tasks.base import (
    SOLVED_METRICS,
    SOLVED_TARGET,
    DrawnStartTask,
    Numbers,
    Target,
)


class SolvedTask(DrawnStartTask):
    """A zero-sum task with a single Nash equilibrium.

    It adds no fields to the description.
    """

    @property
    def gives(self) -> frozenset[Capability]:
        """The capabilities of the game beyond its losses."""
        return frozenset({Capability.ZERO_SUM, Capability.SOLUTION, Capability.NASH})

    @property
    def metrics(self) -> tuple[str, ...]:
        """The specs of the metrics measured when none are chosen."""
        return SOLVED_METRICS

    @property
    def target(self) -> Target:
        """The bounds that a run must reach."""
        return SOLVED_TARGET

    def drawn(self, game: Game) -> Numbers:
        """Return what a run draws: a standard normal point."""
        return Numbers(game.dim)

    def starts(
        self, game: Game, numbers: Float64[Tensor, "runs amount"]
    ) -> Float[Tensor, "runs dim"]:
        """Return the points that were drawn, or the allowed points nearest to them."""
        return game.project(numbers.to(game.dtype))


class SolvedGame(Game):
    """A game with a single solution.

    Args:
        placement: device and dtype of the tensors.
        x: the solution of x, in float64 on the CPU.
        y: the solution of y.
    """

    def __init__(
        self,
        placement: Placement,
        x: Float[Tensor, " dim_x"],
        y: Float[Tensor, " dim_y"],
    ) -> None:
        self.dim_x, self.dim_y = len(x), len(y)
        self.device, self.dtype = placement.device, placement.dtype
        self._solution = torch.cat((x, y)).to(self.device, self.dtype)

    def distance(
        self, z: Float[Tensor, "runs dim"], concept: str
    ) -> Float[Tensor, " runs"]:
        """Return the distance of each run to the solution, for every concept."""
        return (z - self._solution).norm(dim=1)
