"""Von Neumann's ratio game: a stochastic game with one state."""

import math
from dataclasses import dataclass
from typing import Literal, final

import torch
from jaxtyping import Float
from torch import Tensor

from mmbench.core.placement import Placement
from mmbench.core.source import Source
from mmbench.tasks._products import Matrix
from mmbench.tasks._simplex import SimplexGame, SimplexTask, StartAt

# Payoffs R and probabilities S of an end. Source: code of Böhm 2022,
# https://arxiv.org/abs/2201.12247.
MATRICES = {
    "vertex": ([[-1, 0.49], [-0.49, 0]], [[0.5, 0.5], [1, 1]]),
    "interior": ([[-0.6, -0.3], [0.6, -0.3]], [[0.9, 0.5], [0.8, 0.4]]),
}


@final
@dataclass(frozen=True, kw_only=True)
class RatioGame(SimplexTask):
    """Von Neumann's ratio game: quasiconvex in x, quasiconcave in y, not monotone.

        f(x, y) = x' R y / x' S y,   x and y on simplices

    It is a stochastic game with one state: a round pays R to y, and is the last one
    with the probability S. At some points F(z)'(z − z*) is negative, so that the
    equilibrium z* is no solution of the Minty inequality, on which proofs for
    extragradient rest.

    Args:
        equilibrium: "vertex" for a game with pure strategies as its equilibrium,
            "interior" for one with mixed strategies.
        start_at: "random" draws the first strategies of each run uniformly from the
            simplices; "uniform" gives both actions the same probability.

    Solutions: the equilibrium is unique: both second actions at the value 0, or about
        (0.9519, 0.0481) and (0.0505, 0.9495) at the value −0.6058.
    Source: Daskalakis, Foster and Golowich 2020; the matrices: code of Böhm 2022.
    """

    equilibrium: Literal["vertex", "interior"] = "vertex"
    start_at: StartAt = "random"

    source = Source(
        authors="Daskalakis, Foster and Golowich",
        year=2020,
        title="Independent Policy Gradient Methods for Competitive Reinforcement "
        "Learning",
        link="https://arxiv.org/abs/2101.04233",
    )

    def build(self, placement: Placement) -> "Ratio":
        """Build the game."""
        return Ratio(self, placement)


class Ratio(SimplexGame):
    """The game x'Ry / x'Sy between mixed strategies.

    Args:
        task: description of the game.
        placement: device and dtype of the tensors.
    """

    def __init__(self, task: RatioGame, placement: Placement) -> None:
        super().__init__(placement, (1, 2), (1, 2), equilibrium(task))
        self._r, self._s = (
            Matrix(torch.tensor(a, dtype=torch.float64), placement)
            for a in MATRICES[task.equilibrium]
        )

    def losses(
        self, x: Tensor, y: Tensor, sample: None, *, train: bool = True
    ) -> tuple[Tensor, Tensor]:
        """Return f and its negative, each of shape (runs,).

        Args:
            x: first player, shape (runs, 2).
            y: second player, shape (runs, 2).
            sample: no minibatch.
            train: no effect.
        """
        f = (x * self._r.times(y)).sum(1) / (x * self._s.times(y)).sum(1)
        return f, -f

    def gap(self, z: Float[Tensor, "runs 4"], radius: float) -> Float[Tensor, " runs"]:
        """Return the duality gap of each run, in units of the payoff.

        The best answer to a mixed strategy is pure, since f is linear-fractional.

        Args:
            z: mixed strategies.
            radius: no effect.
        """
        x, y = z[:, :2], z[:, 2:]
        of_x = self._r.times(y) / self._s.times(y)
        of_y = self._r.transposed_times(x) / self._s.transposed_times(x)
        return of_y.amax(1) - of_x.amin(1)


def equilibrium(task: RatioGame) -> Float[Tensor, "1 4"]:
    """Return the equilibrium, in float64 on the CPU.

    With mixed strategies x and y are in the null spaces of R − vS and its transpose, at
    the value v with the determinant 0.
    """
    if task.equilibrium == "vertex":
        return torch.tensor([[0, 1, 0, 1]], dtype=torch.float64)
    v = (57 - 5 * math.sqrt(153)) / 8  # a root of −0.04 v² + 0.57 v + 0.36
    r, s = (torch.tensor(a, dtype=torch.float64) for a in MATRICES["interior"])
    (a, b), (c, _) = (r - v * s).tolist()
    x, y = c / (c - a), b / (b - a)
    return torch.tensor([[x, 1 - x, y, 1 - y]], dtype=torch.float64)
