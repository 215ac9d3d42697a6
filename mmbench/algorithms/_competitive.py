"""The moves of competitive gradient descent, which several methods make.

Both functions solve the system of one player for all runs: by conjugate gradients in
zero-sum games, where it is symmetric and positive definite, and by GMRES in others.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from mmbench.core.conjugate_gradient import conjugate_gradient
from mmbench.core.gmres import gmres
from mmbench.core.linearisation import Linearisation
from mmbench.core.oracle import Oracle, Size
from mmbench.core.vectors import Joint, PartX, PartY


class SolverState(NamedTuple):
    """The number of iterations that the inner solver has made in each run."""

    iterations: Int[Tensor, " runs"]


def init_solver(z: Joint) -> SolverState:
    """Return the state before the first iteration."""
    return SolverState(torch.zeros(len(z), dtype=torch.int64, device=z.device))


def solver_of(oracle: Oracle) -> Callable[..., Any]:
    """Return the solver of the systems of CGD, which are symmetric in zero-sum games.

    It takes the arguments of `conjugate_gradient`, and its result has x and iterations.
    """
    return conjugate_gradient if oracle.zero_sum else gmres


def move_of_x(
    oracle: Oracle,
    at: Linearisation,
    sizes: tuple[Size, Size],
    tolerance: float,
    limit: int,
) -> tuple[PartX, Int[Tensor, " runs"]]:
    """Return x's move Δx = −ηₓ (I − ηₓηᵧ f_xy g_yx)⁻¹ (∇ₓ f − ηᵧ f_xy ∇ᵧ g).

    Args:
        oracle: oracle of the game.
        at: linearisation at the current point, with cross gradients.
        sizes: step sizes (ηₓ, ηᵧ).
        tolerance: residual of the solver relative to the right-hand side.
        limit: largest number of iterations.

    Returns:
        Δx, and the iterations of each run.
    """
    eta_x, eta_y = sizes
    solved = solver_of(oracle)(
        lambda v, on: v - eta_x * eta_y * at.mixed_x(at.mixed_y(v, on=on), on=on),
        at.grad_x - eta_y * at.mixed_x(at.grad_y),
        tolerance=tolerance,
        limit=limit,
    )
    return -eta_x * solved.x, solved.iterations


def move_of_y(
    oracle: Oracle,
    at: Linearisation,
    sizes: tuple[Size, Size],
    tolerance: float,
    limit: int,
) -> tuple[PartY, Int[Tensor, " runs"]]:
    """Return y's move Δy = −ηᵧ (I − ηₓηᵧ g_yx f_xy)⁻¹ (∇ᵧ g − ηₓ g_yx ∇ₓ f).

    Args and results are those of `move_of_x`, with the players exchanged.
    """
    eta_x, eta_y = sizes
    solved = solver_of(oracle)(
        lambda v, on: v - eta_x * eta_y * at.mixed_y(at.mixed_x(v, on=on), on=on),
        at.grad_y - eta_x * at.mixed_y(at.grad_x),
        tolerance=tolerance,
        limit=limit,
    )
    return -eta_y * solved.x, solved.iterations
