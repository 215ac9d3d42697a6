"""Conjugate gradients for many runs at once, each with its own stop."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mmbench.core.repetition import repeat, unless_all
from mmbench.core.vectors import Mask, dot, keep

# Maps (v, on) to A v for the runs where the mask `on` is True; None means all.
Matrix = Callable[[Tensor, Mask | None], Tensor]


class _Iterate(NamedTuple):
    """What changes from iteration to iteration.

    Args:
        on: runs that go on.
        x: approximate solutions.
        r: their residuals.
        p: search directions.
        rr: inner products of r with itself.
        iterations, indefinite: as in `Solution`.
    """

    on: Bool[Tensor, " runs"]
    x: Float[Tensor, "runs n"]
    r: Float[Tensor, "runs n"]
    p: Float[Tensor, "runs n"]
    rr: Float[Tensor, " runs"]
    iterations: Int[Tensor, " runs"]
    indefinite: Bool[Tensor, " runs"]


class Solution(NamedTuple):
    """The result of the solver.

    Args:
        x: approximate solutions.
        iterations: products with the matrix that each run took, but for the first one
            of a warm start.
        indefinite: runs that met a direction p with pᵀ A p ≤ 0, along which A is not
            positive definite (or its product has been rounded away), and stopped there.
    """

    x: Float[Tensor, "runs n"]
    iterations: Int[Tensor, " runs"]
    indefinite: Bool[Tensor, " runs"]


def first_residual(
    product: Matrix,
    b: Float[Tensor, "runs n"],
    start: Float[Tensor, "runs n"] | None,
) -> tuple[Float[Tensor, "runs n"], Float[Tensor, "runs n"]]:
    """Return the first guess and its residual, for one product if it is not zero.

    Args:
        product: the matrices A.
        b: right-hand sides.
        start: first guess; None means zero.
    """
    if start is None:
        return torch.zeros_like(b), b
    return start, b - product(start, None)


def conjugate_gradient(
    product: Matrix,
    b: Float[Tensor, "runs n"],
    *,
    start: Float[Tensor, "runs n"] | None = None,
    tolerance: float,
    floor: float = 0.0,
    limit: int,
) -> Solution:
    r"""Solve $A x = b$ for symmetric positive definite $A$, run by run.

    With the residual $r = b - A x$, a run stops when $\|r\| \le$ tolerance $\|b\|$ or
    $\|r\| \le$ floor, or when its numbers cease to be finite; from then on it asks for
    no product.

    Args:
        product: the matrices $A$.
        b: right-hand sides.
        start: first guess; None means zero, which saves the first product.
        tolerance: residual that suffices, relative to the right-hand side.
        floor: residual that always suffices, in the units of b.
        limit: largest number of iterations.

    Returns:
        The solutions, and the number of iterations of each run.

    Source: Hestenes and Stiefel 1952.
    """
    goal = torch.clamp(tolerance * torch.linalg.vector_norm(b, dim=1), min=floor)
    every = torch.ones_like(goal, dtype=torch.bool)
    x, r = first_residual(product, b, start)

    def turn(at: _Iterate) -> _Iterate:
        on, x, r, p, rr, iterations, indefinite = at
        ap = product(p, unless_all(on))
        iterations = iterations + on
        curvature = dot(p, ap)
        indefinite = indefinite | (on & (curvature <= 0))
        on = on & (curvature > 0)
        changed = unless_all(on)
        step = (rr / curvature)[:, None]
        x, r = keep(changed, (x + step * p, r - step * ap), (x, r))
        previous, rr = rr, keep(changed, dot(r, r), rr)
        p = keep(changed, r + (rr / previous)[:, None] * p, p)
        return _Iterate(goes_on(on, rr), x, r, p, rr, iterations, indefinite)

    def goes_on(on: Tensor, rr: Tensor) -> Tensor:
        return on & torch.isfinite(rr) & (rr.sqrt() > goal)

    rr = dot(r, r)
    none = torch.zeros_like(goal, dtype=torch.int64)
    begun = _Iterate(goes_on(every, rr), x, r, r, rr, none, ~every)
    end = repeat(turn, begun, limit)
    return Solution(end.x, end.iterations, end.indefinite)
