"""Games of two variables."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

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
    clip_y,
)


class PlaneTask(DrawnStartTask):
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
    def target(self) -> Target | None:
        """The bounds that a run must reach."""
        return SOLVED_TARGET

    @property
    def width(self) -> int:
        """The number of runs computed side by side on a CPU."""
        return 512  # the cost of a step hardly depends on the number of runs

    def drawn(self, game: Game) -> Numbers:
        """Return what a run draws: a normal point, unless a point is declared."""
        return Numbers(0 if self.start_at else 2)

    def starts(
        self, game: Game, numbers: Float64[Tensor, "runs amount"]
    ) -> Float[Tensor, "runs dim"]:
        """Return the declared first point, or those drawn."""
        return plane_starts(self.start_at, game, numbers)


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


Points = tuple[tuple[float, float], ...]


class FormulaTask(PlaneTask):
    """A game of two variables that is a formula, with its known points by concept.

    It adds no fields to the description. A subclass must define `formula` and `points`.

    Attributes:
        points: "nash", "minimax" or "stationary" to the points of that kind; a strict
            local Nash equilibrium is one of each. Declared solutions of another kind,
            as "global_minimax", have no metric of their own.
        declared: the concept whose points are the declared solutions; None where the
            game has no solution that a method should find.
        zero_sum: whether the second loss is the negative of the first.
        half_width: half-width of the square that the first points are uniform on; 0
            draws standard normal ones.
        box: largest |x| and |y|, by projection; 0 leaves the player free.
    """

    points: ClassVar[Mapping[str, Points]]
    declared: ClassVar[str | None] = None
    zero_sum: ClassVar[bool] = True
    half_width: ClassVar[float] = 0.0
    box: ClassVar[tuple[float, float]] = (0.0, 0.0)

    @abstractmethod
    def formula(
        self, x: Float[Tensor, " runs"], y: Float[Tensor, " runs"]
    ) -> Float[Tensor, " runs"] | tuple[Tensor, Tensor]:
        """Return f in a zero-sum game, otherwise the losses of x and of y."""

    @property
    def gives(self) -> frozenset[Capability]:
        """The capabilities of the game beyond its losses."""
        given = {KNOWN[concept] for concept in self.points if concept in KNOWN}
        given |= {Capability.PLANE}
        given |= {Capability.SOLUTION} if self.declared else set()
        return frozenset(given | ({Capability.ZERO_SUM} if self.zero_sum else set()))

    @property
    def metrics(self) -> tuple[str, ...]:
        """Specs of the metrics measured when none are chosen."""
        if self.declared:
            return SOLVED_METRICS
        return ("field_norm", "distance[concept=stationary]")

    @property
    def target(self) -> Target | None:
        """The bounds that a run must reach."""
        return SOLVED_TARGET if self.declared else None

    def build(self, placement: Placement) -> "FormulaGame":
        """Build the game."""
        return FormulaGame(self, placement)

    def drawn(self, game: Game) -> Numbers:
        """Return what a run draws: a point, unless one is declared."""
        return super().drawn(game)._replace(is_normal=not self.half_width)

    def starts(
        self, game: Game, numbers: Float64[Tensor, "runs amount"]
    ) -> Float[Tensor, "runs dim"]:
        """Return the declared first point, or those drawn."""
        if self.half_width:
            numbers = self.half_width * (2 * numbers - 1)
        return super().starts(game, numbers)


KNOWN = {
    "nash": Capability.NASH,
    "minimax": Capability.MINIMAX,
    "stationary": Capability.STATIONARY,
}


class FormulaGame(PlaneGame):
    """The game of a formula.

    Args:
        task: description of the game.
        placement: device and dtype of the tensors.
    """

    def __init__(self, task: FormulaTask, placement: Placement) -> None:
        super().__init__(placement)
        self._task, self.zero_sum = task, task.zero_sum
        self._points = {
            concept: torch.tensor(points, dtype=torch.float64).to(
                self.device, self.dtype
            )
            for concept, points in task.points.items()
        }

    def losses(
        self, x: Tensor, y: Tensor, sample: None, *, train: bool = True
    ) -> tuple[Tensor, Tensor]:
        """Return both losses, each of shape (runs,).

        Args:
            x: first player, shape (runs, 1).
            y: second player, shape (runs, 1).
            sample: no minibatch.
            train: no effect.
        """
        losses = self._task.formula(x[:, 0], y[:, 0])
        return losses if isinstance(losses, tuple) else (losses, -losses)

    def project(self, z: Float[Tensor, "runs 2"]) -> Float[Tensor, "runs 2"]:
        """Return the nearest point of the box."""
        of_x, of_y = self._task.box
        if not of_x and not of_y:
            return z
        x = z[:, :1].clamp(-of_x, of_x) if of_x else z[:, :1]
        return clip_y(torch.cat((x, z[:, 1:]), dim=1), 1, of_y)

    def distance(
        self, z: Float[Tensor, "runs 2"], concept: str
    ) -> Float[Tensor, " runs"]:
        """Return the distance of each run to the nearest known point of a kind."""
        points = self._points[
            self._task.declared or "" if concept == "declared" else concept
        ]
        return (z[:, None] - points).norm(dim=2).amin(1)


def plane_starts(
    start_at: tuple[float, float] | None,
    game: Game,
    points: Float64[Tensor, "runs _"],
) -> Float[Tensor, "runs dim"]:
    """Return the declared first point for each run, or the points in the game's dtype.

    Args:
        start_at: first point (x, y), if one is declared.
        game: game that the runs belong to.
        points: where the runs start if none is declared.
    """
    if start_at:
        return torch.tensor(start_at, dtype=game.dtype).repeat(len(points), 1)
    return points.to(game.dtype)
