"""Games of two variables with the solution (0, 0)."""

import torch
from jaxtyping import Float
from torch import Tensor

from mmbench.core.game import Game
from mmbench.core.placement import Placement
from mmbench.tasks.base import SOLVED_METRICS, SOLVED_TARGET, Target, Task


class PlaneTask(Task):
    """A task of two variables with the solution (0, 0).

    It adds no fields to the description; subclasses declare the field named here.

    Attributes:
        start_at: first point (x, y); None draws one for each run, standard normal.
    """

    start_at: tuple[float, float] | None

    @property
    def metrics(self) -> tuple[str, ...]:
        """Specs of the metrics measured when none are chosen."""
        return SOLVED_METRICS

    @property
    def target(self) -> Target:
        """The bounds that a run must reach."""
        return SOLVED_TARGET

    @property
    def width(self) -> int:
        """The number of runs computed side by side on a CPU."""
        return 512  # the cost of a step hardly depends on the number of runs

    def start(self, game: Game, generator: torch.Generator) -> Float[Tensor, " dim"]:
        """Return the declared first point, or draw one."""
        return plane_start(self.start_at, 2, game, generator)


class PlaneGame(Game):
    """A game of two variables with the solution (0, 0).

    Args:
        placement: device and dtype of the tensors.
    """

    dim_x = dim_y = 1

    def __init__(self, placement: Placement) -> None:
        self.device, self.dtype = placement.device, placement.dtype

    def distance(
        self, z: Float[Tensor, "runs 2"], concept: str
    ) -> Float[Tensor, " runs"]:
        """Return the distance of each run to (0, 0), for every solution concept."""
        return z.norm(dim=1)


def plane_start(
    start_at: tuple[float, float] | None,
    dim: int,
    game: Game,
    generator: torch.Generator,
) -> Float[Tensor, " dim"]:
    """Return the declared first point, or draw a standard normal one.

    Args:
        start_at: first point (x, y), if one is declared.
        dim: length of z.
        game: game that the run belongs to.
        generator: random generator of the run.
    """
    if start_at:
        return torch.tensor(start_at, dtype=game.dtype)
    # In float64, so that both precisions start at the same point.
    drawn = torch.randn(dim, generator=generator, dtype=torch.float64)
    return drawn.to(game.dtype)
