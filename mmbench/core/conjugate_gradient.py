"""Conjugate gradients for many runs at once, each with its own stop."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mmbench.core.vectors import dot, keep

# Up to this limit, all iterations are made without checking whether a run needs them.
MAX_UNCHECKED_ITERATIONS = 8
# On a GPU, iterations between two checks, once as many have been made. From the first
# one on, a solve of four iterations would make eight, and launch twice the operations.
GPU_CHECK_INTERVAL = 8


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


def is_over(on: Bool[Tensor, " runs"], made: int, limit: int | None = None) -> bool:
    """Return whether no run goes on, where this is checked.

    Masks keep what has stopped as it is, so that a check changes no number and no
    count. On a GPU the host waits for it, and a long loop is checked less often.

    Args:
        on: runs that go on.
        made: iterations made.
        limit: largest number of iterations; few are made without a check. None checks
            in any case.
    """
    if limit is not None and limit <= MAX_UNCHECKED_ITERATIONS:
        return False
    is_long = on.device.type == "cuda" and made > GPU_CHECK_INTERVAL
    if is_long and made % GPU_CHECK_INTERVAL:
        return False
    return not bool(on.any())


def first_residual(
    product: Callable[[Tensor, Tensor], Tensor],
    b: Float[Tensor, "runs n"],
    start: Float[Tensor, "runs n"] | None,
) -> tuple[Float[Tensor, "runs n"], Float[Tensor, "runs n"]]:
    """Return the first guess and its residual, for one product if it is not zero.

    Args:
        product: maps (v, on) to A v for the runs where the mask `on` is True.
        b: right-hand sides.
        start: first guess; None means zero.
    """
    if start is None:
        return torch.zeros_like(b), b
    every = torch.ones(len(b), dtype=torch.bool, device=b.device)
    return start, b - product(start, every)


def conjugate_gradient(
    product: Callable[[Tensor, Tensor], Tensor],
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
        product: maps (v, on) to $A v$ for the runs where the mask `on` is True.
        b: right-hand sides.
        start: first guess; None means zero, which saves the first product.
        tolerance: residual that suffices, relative to the right-hand side.
        floor: residual that always suffices, in the units of b.
        limit: largest number of iterations.

    Returns:
        The solutions, and the number of iterations of each run.

    Source: Hestenes and Stiefel 1952.
    """
    goal = torch.clamp(tolerance * b.norm(dim=1), min=floor)
    every = torch.ones_like(goal, dtype=torch.bool)
    x, r = first_residual(product, b, start)
    p, rr = r, dot(r, r)
    iterations = torch.zeros_like(goal, dtype=torch.int64)
    on, indefinite = every, ~every
    for made in range(limit):
        on = on & torch.isfinite(rr) & (rr.sqrt() > goal)
        if is_over(on, made, limit):
            break
        ap = product(p, on)
        iterations += on
        curvature = dot(p, ap)
        indefinite = indefinite | (on & (curvature <= 0))
        on = on & (curvature > 0)
        step = (rr / curvature)[:, None]
        x, r = keep(on, (x + step * p, r - step * ap), (x, r))
        previous, rr = rr, torch.where(on, dot(r, r), rr)
        p = keep(on, r + (rr / previous)[:, None] * p, p)
    return Solution(x, iterations, indefinite)
