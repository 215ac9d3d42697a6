"""The kinds of solutions that an iterate is close to."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from mmbench.core.domains import Positive
from mmbench.core.errors import MisfitError
from mmbench.core.literature import JIN_2020
from mmbench.metrics._jacobian import EXACT_DIM, finite_runs, scaling
from mmbench.metrics.base import Column, IterateMetric, Point

# An eigenvalue is taken for zero if it is below this times the norm of J, and for ΛJ
# times the smaller step as well.
ZERO = 1e-6


@final
@dataclass(frozen=True, kw_only=True)
class PointClass(IterateMetric):
    """Kinds of solutions that the iterate is: 1 where it is of a kind, otherwise 0.

        is_stationary: ‖F(z)‖ is at most the tolerance; so are all others below
        is_nash:       strict local Nash equilibrium: each player's own Hessian,
                       f_xx and −f_yy, is positive definite
        is_minimax:    strict local minimax point, x leading: −f_yy and
                       f_xx − f_xy f_yy⁻¹ f_yx are positive definite
        is_stable:     every eigenvalue of ΛJ, with J = DF and Λ = diag(1, τ), has a
                       positive real part, so that the flow ż = −ΛF(z) is attracted

    The mean of a column over runs is a share of runs. The columns only describe, for it
    depends on the solution concept what is a success. In zero-sum games a Nash
    equilibrium is minimax and stable for every τ; a minimax point is stable where τ is
    large enough; a stable point need be neither. A run that ends `finished` at no
    stationary point cycles, and `rate[of=field_norm]` is then about 1, or is on its
    way. Whether the steps of a method are stable depends on the method: of simultaneous
    gradient steps `spectrum_radius` tells.

    In games that are not zero-sum `is_minimax` is NaN, for it would take third
    derivatives. All columns are NaN where J is not finite. The kinds are those of
    interior points: F is without constraints. On games with data they are those of one
    minibatch for each run, which says little.

    Args:
        tolerance: largest norm of F at a stationary point.
        ratio: τ, step size of y for each unit of x's.

    Source: Jin, Netrapalli and Jordan 2020, What is Local Optimality in
        Nonconvex-Nonconcave Minimax Optimization?
    """

    sources = (JIN_2020,)

    tolerance: Positive = 1e-3
    ratio: Positive = 1.0

    @property
    def columns(self) -> tuple[Column, ...]:
        """Columns that the metric fills."""
        stable = f"stable with steps 1 : {self.ratio:g}"
        return (
            Column("is_stationary", "stationary point", "neither"),
            Column("is_nash", "strict local Nash equilibrium", "neither"),
            Column("is_minimax", "strict local minimax point", "neither"),
            Column("is_stable", stable, "neither"),
        )

    def measure(self, at: Point) -> Mapping[str, Tensor]:
        """Return the values of each column, one for each run.

        Raises:
            MisfitError: when the game has too many variables for an exact Jacobian.
        """
        game = at.game
        if game.dim > EXACT_DIM:
            raise MisfitError(
                f"point_class must be asked of at most {EXACT_DIM} variables; "
                f"{type(game).__name__} has {game.dim}. Choose spectrum."
            )
        finite, jacobian = finite_runs(at.jacobian)
        stationary = (at.field.norm(dim=1) <= self.tolerance).cpu()
        kinds = {
            "is_stationary": stationary,
            "is_nash": stationary & is_nash(jacobian, game.dim_x),
            "is_minimax": stationary & is_minimax(jacobian, game.dim_x),
            "is_stable": stationary & is_stable(jacobian, game.dim_x, self.ratio),
        }
        columns = {
            name: kind.double().where(finite, torch.nan) for name, kind in kinds.items()
        }
        if not game.zero_sum:
            columns["is_minimax"] = torch.full_like(columns["is_minimax"], torch.nan)
        return columns


def is_nash(
    jacobian: Float64[Tensor, "runs dim dim"], dim_x: int
) -> Bool[Tensor, " runs"]:
    """Return where each player's own Hessian is positive definite."""
    own = jacobian[:, :dim_x, :dim_x], jacobian[:, dim_x:, dim_x:]
    size = torch.linalg.matrix_norm(jacobian)
    return _is_definite(own[0], size) & _is_definite(own[1], size)


def is_minimax(
    jacobian: Float64[Tensor, "runs dim dim"], dim_x: int
) -> Bool[Tensor, " runs"]:
    """Return where y is at a maximum and x at a minimum along y's answers.

    In zero-sum games the Schur complement of J is the Hessian of max over y of f.
    """
    xx, xy = jacobian[:, :dim_x, :dim_x], jacobian[:, :dim_x, dim_x:]
    yx, yy = jacobian[:, dim_x:, :dim_x], jacobian[:, dim_x:, dim_x:]
    size = torch.linalg.matrix_norm(jacobian)
    of_y = _is_definite(yy, size)
    identity = torch.eye(yy.shape[1], dtype=yy.dtype)
    answers = torch.linalg.solve(yy.where(of_y[:, None, None], identity), yx)
    return of_y & _is_definite(xx - xy @ answers, size)


def is_stable(
    jacobian: Float64[Tensor, "runs dim dim"], dim_x: int, ratio: float
) -> Bool[Tensor, " runs"]:
    """Return where the eigenvalues of ΛJ have positive real parts, Λ = diag(1, τ)."""
    steps = (1.0, ratio) if ratio < 1 else (1 / ratio, 1.0)  # a multiple of Λ
    scale = scaling(steps, dim_x, jacobian.shape[1] - dim_x)
    least = torch.linalg.eigvals(scale[:, None] * jacobian).real.amin(1)
    return least > ZERO * min(steps) * torch.linalg.matrix_norm(jacobian)


def _is_definite(
    hessian: Float64[Tensor, "runs n n"], size: Float64[Tensor, " runs"]
) -> Bool[Tensor, " runs"]:
    """Return where a symmetric matrix is clearly positive definite.

    Args:
        hessian: symmetric up to rounding.
        size: norm of J, which tells what is rounding.
    """
    symmetric = (hessian + hessian.mT) / 2
    return torch.linalg.eigvalsh(symmetric)[:, 0] > ZERO * size
