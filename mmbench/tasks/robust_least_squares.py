"""Robust least squares: an adversary moves the right-hand side."""

from dataclasses import dataclass
from typing import Annotated, final

import torch
from torch import Tensor

from mmbench.core.domains import Count, Domain, NonNegative, Seed
from mmbench.core.errors import DescriptionError
from mmbench.core.placement import Placement
from mmbench.core.source import Source
from mmbench.tasks._products import Matrix
from mmbench.tasks._random_matrices import (
    Conditioning,
    random_rotation,
    random_spectrum,
)
from mmbench.tasks._solved import SolvedGame, SolvedTask


@final
@dataclass(frozen=True, kw_only=True)
class RobustLeastSquares(SolvedTask):
    """Robust least squares: x fits a right-hand side that y moves away from its value.

        f(x, y) = ½ ‖Ax − y‖² − (λ/2) ‖y − b‖²

    The penalty λ > 1 makes f strongly concave in y, with λ − 1. A has singular values
    from 1/√κ to 1, and b = Ax₀ + noise for a normal x₀.

    Args:
        rows: number of equations, the length of y.
        unknowns: length of x; at most `rows`.
        conditioning: κ, that of A'A.
        penalty: λ, price of a change of the right-hand side.
        error: standard deviation of the errors in b.
        instance: seed of A and b; the same for all runs of a cell.

    Solutions: x is the solution of ordinary least squares, and y = (λb − Ax)/(λ − 1)
        makes each residual λ/(λ − 1) times as large; the only saddle point.
    Source: Yang, Kiyavash and He 2020.
    """

    rows: Count = 20
    unknowns: Count = 5
    conditioning: Conditioning = 10.0
    penalty: Annotated[float, Domain(low=1, high=1e6, open_low=True)] = 3.0
    error: NonNegative = 0.1
    instance: Seed = 0

    source = Source(
        authors="Yang, Kiyavash and He",
        year=2020,
        title="Global Convergence and Variance-Reduced Optimization for a Class of "
        "Nonconvex-Nonconcave Minimax Problems",
        link="https://arxiv.org/abs/2002.09621",
    )

    def check(self) -> None:
        """Raise `DescriptionError` when A has more columns than rows."""
        if self.unknowns > self.rows:
            raise DescriptionError(
                f"RobustLeastSquares.unknowns must be at most rows={self.rows}; got "
                f"{self.unknowns}."
            )

    def build(self, placement: Placement) -> "RobustLeastSquaresGame":
        """Build the game."""
        return RobustLeastSquaresGame(self, placement)


class RobustLeastSquaresGame(SolvedGame):
    """The game ½ ‖Ax − y‖² − (λ/2) ‖y − b‖².

    Args:
        task: description of the game.
        placement: device and dtype of the tensors.
    """

    def __init__(self, task: RobustLeastSquares, placement: Placement) -> None:
        random = torch.Generator().manual_seed(task.instance)
        left = random_rotation(task.rows, random)[:, : task.unknowns]
        right = random_rotation(task.unknowns, random)
        spectrum = random_spectrum(task.unknowns, task.conditioning, random)
        singular = (spectrum / task.conditioning).sqrt()
        a = left @ torch.diag(singular) @ right.T
        drawn = torch.randn(
            task.unknowns + task.rows, generator=random, dtype=torch.float64
        )
        b = a @ drawn[: task.unknowns] + task.error * drawn[task.unknowns :]
        x = right @ ((left.T @ b) / singular)
        self._penalty = task.penalty
        super().__init__(placement, x, b + (b - a @ x) / (task.penalty - 1))
        self._a, self._b = Matrix(a, placement), b.to(self.device, self.dtype)

    def losses(
        self, x: Tensor, y: Tensor, sample: None, *, train: bool = True
    ) -> tuple[Tensor, Tensor]:
        """Return f and its negative, each of shape (runs,).

        Args:
            x: coefficients, shape (runs, unknowns).
            y: right-hand side, shape (runs, rows).
            sample: no minibatch.
            train: no effect.
        """
        residual, change = self._a.times(x) - y, y - self._b
        squares = (residual * residual - self._penalty * change * change).sum(1)
        return squares / 2, -squares / 2
