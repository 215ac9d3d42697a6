"""Distributionally robust regression: an adversary weights the data."""

from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from mmbench.core.domains import Count, Scale, Seed
from mmbench.core.game import Game
from mmbench.core.placement import Placement
from mmbench.core.source import Source
from mmbench.tasks._products import Matrix
from mmbench.tasks._simplex import project_on_simplex
from mmbench.tasks._solved import SolvedGame, SolvedTask


@final
@dataclass(frozen=True, kw_only=True)
class RobustRegression(SolvedTask):
    """Distributionally robust regression: y puts weight on the data that x fits badly.

        f(x, y) = Σᵢ yᵢ (aᵢ'x − bᵢ)²/2 + (μ/2) ‖x − c‖² − (λ/2n) ‖n y − 1‖²

    y is a point of the simplex, and λ prices the χ² divergence of its weights from
    equal ones. The entries of the n rows aᵢ are standard normal. An instance is made
    from its solution: x is drawn, and residuals aᵢ'x − bᵢ with a tail, the cubes of
    normal numbers times `error`; the prior c of the ridge penalty follows.

    Args:
        rows: n, number of data and length of y.
        unknowns: length of x.
        ridge: μ, strength of the ridge penalty.
        divergence: λ, price of the divergence; a small one leaves most data without
            weight.
        error: scale of the residuals.
        instance: seed of the data; the same for all runs of a cell.

    Solutions: the coefficients drawn, with the projection of 1/n + lossᵢ/(λn) on the
        simplex as weights; the only saddle point.
    Source: Levy, Carmon, Duchi and Sidford 2020.
    """

    rows: Count = 20
    unknowns: Count = 5
    ridge: Scale = 0.1
    divergence: Scale = 1.0
    error: Scale = 0.3
    instance: Seed = 0

    source = Source(
        authors="Levy, Carmon, Duchi and Sidford",
        year=2020,
        title="Large-Scale Methods for Distributionally Robust Optimization",
        link="https://arxiv.org/abs/2010.05893",
    )

    def build(self, placement: Placement) -> "RobustRegressionGame":
        """Build the game."""
        return RobustRegressionGame(self, placement)

    def start(self, game: Game, generator: torch.Generator) -> Float[Tensor, " dim"]:
        """Draw normal coefficients, and weights uniformly from the simplex."""
        x = torch.randn(self.unknowns, generator=generator, dtype=torch.float64)
        y = torch.empty(self.rows, dtype=torch.float64).exponential_(
            generator=generator
        )
        return torch.cat((x, y / y.sum())).to(game.dtype)


class RobustRegressionGame(SolvedGame):
    """The regression with a player who weights the data.

    Args:
        task: description of the game.
        placement: device and dtype of the tensors.
    """

    def __init__(self, task: RobustRegression, placement: Placement) -> None:
        self._ridge, self._divergence = task.ridge, task.divergence
        random = torch.Generator().manual_seed(task.instance)
        shape = task.rows, task.unknowns + 1
        drawn = torch.randn(shape, generator=random, dtype=torch.float64)
        a, residual = drawn[:, :-1], task.error * drawn[:, -1] ** 3
        x = torch.randn(task.unknowns, generator=random, dtype=torch.float64)
        losses = residual**2 / (2 * task.divergence)
        y = project_on_simplex((1 + losses) / task.rows)
        super().__init__(placement, x, y)
        b, c = a @ x - residual, x + a.T @ (y * residual) / task.ridge
        self._c = c.to(self.device, self.dtype)
        self._a, self._b = Matrix(a, placement), b.to(self.device, self.dtype)

    def losses(
        self, x: Tensor, y: Tensor, sample: None, *, train: bool = True
    ) -> tuple[Tensor, Tensor]:
        """Return f and its negative, each of shape (runs,).

        Args:
            x: coefficients, shape (runs, unknowns).
            y: weights of the data, shape (runs, rows).
            sample: no minibatch.
            train: no effect.
        """
        residual, rows = self._a.times(x) - self._b, self.dim_y
        fit = (y * residual * residual).sum(1)
        fit = fit + self._ridge * ((x - self._c) ** 2).sum(1)
        f = (fit - self._divergence / rows * ((rows * y - 1) ** 2).sum(1)) / 2
        return f, -f

    def project(self, z: Float[Tensor, "runs dim"]) -> Float[Tensor, "runs dim"]:
        """Return the nearest point whose weights are on the simplex."""
        x, y = z[:, : self.dim_x], z[:, self.dim_x :]
        return torch.cat((x, project_on_simplex(y)), dim=1)
