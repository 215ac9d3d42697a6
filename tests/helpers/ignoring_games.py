"""Games whose losses do not depend on one player or on both."""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from mmbench.core.capability import Capability
from mmbench.core.game import Game
from mmbench.core.placement import Placement
from mmbench.tasks.base import Task

DIM_X, DIM_Y = 2, 3


def _loss_x(kind: str, x: Tensor, y: Tensor) -> Tensor:
    """Return the loss of x, shape (runs,)."""
    constant = torch.ones_like(x[:, 0])
    return {
        "x": (x * x).sum(1),
        "y": (y * y).sum(1),
        "none": constant,
        "detached": (x * x).sum(1).detach(),
    }[kind]


@dataclass(frozen=True, kw_only=True)
class Ignoring(Task):
    """A game whose losses depend on the named players alone.

    Args:
        loss_x: player that x's loss depends on: x² or y², a constant, or the value of
            x² without its graph.
        loss_y: the same for y's loss; "negative" makes the game zero-sum.
    """

    loss_x: Literal["x", "y", "none", "detached"] = "y"
    loss_y: Literal["x", "y", "none", "detached", "negative"] = "y"

    @property
    def gives(self) -> frozenset[Capability]:
        """The game may be zero-sum."""
        zero_sum = {Capability.ZERO_SUM} if self.loss_y == "negative" else set()
        return frozenset(zero_sum)

    @property
    def metrics(self) -> tuple[str, ...]:
        """Specs of the metrics."""
        return ("losses",)

    def build(self, placement: Placement) -> "IgnoringGame":
        """Return the game."""
        return IgnoringGame(self, placement)

    def start(self, game: Game, generator: torch.Generator) -> Tensor:
        """Draw a normal start."""
        return torch.randn(game.dim, generator=generator, dtype=torch.float64).to(
            game.dtype
        )


class IgnoringGame(Game):
    """The game of `Ignoring`."""

    dim_x, dim_y = DIM_X, DIM_Y

    def __init__(self, task: Ignoring, placement: Placement) -> None:
        self.device, self.dtype = placement.device, placement.dtype
        self.task, self.zero_sum = task, task.loss_y == "negative"

    def losses(
        self, x: Tensor, y: Tensor, sample: Any, *, train: bool = True
    ) -> tuple[Tensor, Tensor]:
        """Return both losses."""
        loss_x = _loss_x(self.task.loss_x, x, y)
        if self.zero_sum:
            return loss_x, -loss_x
        return loss_x, _loss_x(self.task.loss_y, x, y)
