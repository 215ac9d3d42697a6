"""Matrix games: both players choose mixed strategies."""

from dataclasses import dataclass
from typing import Literal, final

import torch
from jaxtyping import Float
from torch import Tensor

from mmbench.core.domains import Count, Seed
from mmbench.core.placement import Placement
from mmbench.core.source import Source
from mmbench.tasks._simplex import PayoffGame, SimplexTask, StartAt

# Payoffs to y.
NAMED = {
    "matching_pennies": [[1, -1], [-1, 1]],
    "rock_paper_scissors": [[0, 1, -1], [-1, 0, 1], [1, -1, 0]],
}


@final
@dataclass(frozen=True, kw_only=True)
class MatrixGame(SimplexTask):
    """Matrix game: each player mixes actions, and A has the payoffs to y.

        f(x, y) = x' A y,   x and y on simplices

    Matching pennies and rock-paper-scissors have a single equilibrium, in the interior:
    simultaneous mirror descent spirals away from it towards the boundary.

    Args:
        matrix: "matching_pennies", "rock_paper_scissors", or "random" for entries that
            are uniform from -1 to 1.
        size: actions of each player of a random game.
        instance: seed of a random game; the same for all runs of a cell.
        start_at: "random" draws the first strategies of each run uniformly from the
            simplices; "uniform" gives all actions the same probability, which is the
            equilibrium of the named games.

    Solutions: in the named games all actions have the same probability, at the value 0.
        A random game has a single equilibrium with probability one, which is not
        computed; its gap is exact.
    Source: von Neumann 1928.
    """

    matrix: Literal["matching_pennies", "rock_paper_scissors", "random"] = (
        "rock_paper_scissors"
    )
    size: Count = 10
    instance: Seed = 0
    start_at: StartAt = "random"

    source = Source(
        authors="von Neumann",
        year=1928,
        title="Zur Theorie der Gesellschaftsspiele",
    )

    @property
    def is_solved(self) -> bool:
        """Whether the equilibria are known."""
        return self.matrix != "random"

    def build(self, placement: Placement) -> PayoffGame:
        """Build the game."""
        a = payoffs(self)
        if not self.is_solved:
            return PayoffGame(placement, a)
        uniform = torch.full((1, sum(a.shape)), 1 / len(a), dtype=torch.float64)
        return PayoffGame(placement, a, solutions=uniform)


def payoffs(task: MatrixGame) -> Float[Tensor, "size size"]:
    """Return the payoffs to y, in float64 on the CPU."""
    if task.is_solved:
        return torch.tensor(NAMED[task.matrix], dtype=torch.float64)
    generator = torch.Generator().manual_seed(task.instance)
    shape = task.size, task.size
    return 2 * torch.rand(shape, generator=generator, dtype=torch.float64) - 1
