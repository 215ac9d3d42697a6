"""The Lagrangian of a random quadratic program with linear constraints."""

from dataclasses import dataclass
from typing import Literal, final

import torch
from jaxtyping import Float
from torch import Tensor

from mmbench.core.domains import Count, Seed
from mmbench.core.errors import DescriptionError
from mmbench.core.placement import Placement
from mmbench.core.source import Source
from mmbench.tasks._products import Matrix
from mmbench.tasks._random_matrices import (
    Conditioning,
    random_positive,
    random_spectrum,
)
from mmbench.tasks._solved import SolvedGame, SolvedTask


@final
@dataclass(frozen=True, kw_only=True)
class Lagrangian(SolvedTask):
    """Lagrangian: minimise ½ x'Qx + q'x subject to Ax = b, or to Ax ≤ b.

        f(x, y) = ½ x'Qx + q'x + y'(Ax − b),   y ≥ 0 for Ax ≤ b

    y holds the multipliers, in which the game is linear: strongly convex, but not
    strongly concave. Q has eigenvalues from 1/κ to 1, and A normal entries of the
    standard deviation 1/√dim. An instance is made from its solution: x, y and b are
    drawn such that the first half of the inequalities holds with equality, with
    multipliers from 1/2 to 3/2, and the others with slacks of that size; q follows.

    Args:
        dim: length of x.
        constraints: length of y; at most `dim` equations, or 2 `dim` inequalities.
        kind: "equality" for Ax = b, "inequality" for Ax ≤ b.
        conditioning: κ, largest by smallest eigenvalue of Q.
        instance: seed of the program; the same for all runs of a cell.

    Solutions: the minimiser with its multipliers, the only saddle point.
    Source: Boyd and Vandenberghe 2004.
    """

    dim: Count = 10
    constraints: Count = 4
    kind: Literal["equality", "inequality"] = "equality"
    conditioning: Conditioning = 10.0
    instance: Seed = 0

    source = Source(
        authors="Boyd and Vandenberghe", year=2004, title="Convex Optimization"
    )

    def check(self) -> None:
        """Raise `DescriptionError` when more constraints are active than x has entries.

        The multipliers would not be unique.
        """
        most = self.dim if self.kind == "equality" else 2 * self.dim
        if self.constraints > most:
            raise DescriptionError(
                f"Lagrangian.constraints must be at most {most} with dim={self.dim}, "
                f"kind={self.kind}; got {self.constraints}."
            )

    def build(self, placement: Placement) -> "LagrangianGame":
        """Build the game."""
        return LagrangianGame(self, placement)


class LagrangianGame(SolvedGame):
    """The Lagrangian of one program.

    Args:
        task: description of the game.
        placement: device and dtype of the tensors.
    """

    def __init__(self, task: Lagrangian, placement: Placement) -> None:
        random = torch.Generator().manual_seed(task.instance)
        spectrum = random_spectrum(task.dim, task.conditioning, random)
        hessian = random_positive(spectrum / task.conditioning, random)
        shape, dtype = (task.constraints, task.dim), torch.float64
        a = torch.randn(shape, generator=random, dtype=dtype) / task.dim**0.5
        x = torch.randn(task.dim, generator=random, dtype=dtype)
        self.has_inequalities = task.kind == "inequality"
        if self.has_inequalities:
            size = 0.5 + torch.rand(task.constraints, generator=random, dtype=dtype)
            is_active = torch.arange(task.constraints) < (task.constraints + 1) // 2
            y, slack = size * is_active, size * ~is_active
        else:
            y = torch.randn(task.constraints, generator=random, dtype=dtype)
            slack = torch.zeros_like(y)
        super().__init__(placement, x, y)
        self._hessian, self._a = Matrix(hessian, placement), Matrix(a, placement)
        given = -hessian @ x - a.T @ y, a @ x + slack
        self._q, self._b = (part.to(self.device, self.dtype) for part in given)

    def losses(
        self, x: Tensor, y: Tensor, sample: None, *, train: bool = True
    ) -> tuple[Tensor, Tensor]:
        """Return the Lagrangian and its negative, each of shape (runs,).

        Args:
            x: variables of the program, shape (runs, dim).
            y: multipliers, shape (runs, constraints).
            sample: no minibatch.
            train: no effect.
        """
        cost = (x * (self._hessian.times(x) / 2 + self._q)).sum(1)
        f = cost + (y * (self._a.times(x) - self._b)).sum(1)
        return f, -f

    def project(self, z: Float[Tensor, "runs dim"]) -> Float[Tensor, "runs dim"]:
        """Return the nearest point with allowed multipliers."""
        if not self.has_inequalities:
            return z
        x, y = z[:, : self.dim_x], z[:, self.dim_x :]
        return torch.cat((x, y.clamp_min(0)), dim=1)
