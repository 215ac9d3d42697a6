"""The moves of competitive gradient descent, which several methods make.

Both functions solve the system of one player for all runs, by conjugate gradients.
"""

from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from mmbench.core.conjugate_gradient import conjugate_gradient
from mmbench.core.linearisation import Linearisation
from mmbench.core.oracle import Size
from mmbench.core.vectors import Joint, PartX, PartY


class SolverState(NamedTuple):
    """The number of iterations that the inner solver has made in each run."""

    iterations: Int[Tensor, " runs"]


def init_solver(z: Joint) -> SolverState:
    """Return the state before the first iteration."""
    return SolverState(torch.zeros(len(z), dtype=torch.int64, device=z.device))


def move_of_x(
    f: Linearisation, sizes: tuple[Size, Size], tolerance: float, limit: int
) -> tuple[PartX, Int[Tensor, " runs"]]:
    """Return x's move Δx = −ηₓ (I + ηₓηᵧ f_xy f_yx)⁻¹ (f_x + ηᵧ f_xy f_y).

    Args:
        f: linearisation of a zero-sum game at the current point.
        sizes: step sizes (ηₓ, ηᵧ).
        tolerance: residual of the solver relative to the right-hand side.
        limit: largest number of iterations.

    Returns:
        Δx, and the iterations of each run.
    """
    eta_x, eta_y = sizes
    solved = conjugate_gradient(
        lambda v, on: v + eta_x * eta_y * f.xy(f.yx(v, on=on), on=on),
        f.grad_x + eta_y * f.xy(-f.grad_y),
        tolerance=tolerance,
        limit=limit,
    )
    return -eta_x * solved.x, solved.iterations


def move_of_y(
    f: Linearisation, sizes: tuple[Size, Size], tolerance: float, limit: int
) -> tuple[PartY, Int[Tensor, " runs"]]:
    """Return y's move Δy = ηᵧ (I + ηₓηᵧ f_yx f_xy)⁻¹ (f_y − ηₓ f_yx f_x).

    Args and results are those of `move_of_x`, with the players exchanged.
    """
    eta_x, eta_y = sizes
    solved = conjugate_gradient(
        lambda v, on: v + eta_x * eta_y * f.yx(f.xy(v, on=on), on=on),
        -f.grad_y - eta_x * f.yx(f.grad_x),
        tolerance=tolerance,
        limit=limit,
    )
    return eta_y * solved.x, solved.iterations
