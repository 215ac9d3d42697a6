"""GMRES for many runs at once, each with its own stop."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mmbench.core.conjugate_gradient import first_residual
from mmbench.core.repetition import MAX_UNCHECKED_ITERATIONS, is_over
from mmbench.core.vectors import dot, masked

# Iterations after which the basis, a vector for each, is dropped and built anew.
MAX_BASIS = 32
# A vector that orthogonalisation leaves this short, in roundings, is taken for zero.
_ROUNDINGS = 16


class Solution(NamedTuple):
    """The result of the solver.

    Args:
        x: approximate solutions.
        iterations: products with the matrix that each run took, but for the first one
            of a warm start.
        solved: runs whose residual suffices; the others met the limit, a singular
            matrix or numbers that are not finite.
    """

    x: Float[Tensor, "runs n"]
    iterations: Int[Tensor, " runs"]
    solved: Bool[Tensor, " runs"]


def gmres(
    product: Callable[[Tensor, Tensor], Tensor],
    b: Float[Tensor, "runs n"],
    *,
    start: Float[Tensor, "runs n"] | None = None,
    tolerance: float,
    floor: float = 0.0,
    limit: int,
) -> Solution:
    r"""Solve $A x = b$ for any square $A$, run by run.

    Each iteration minimises the residual $r = b - A x$ over one more dimension of the
    Krylov space. A run stops when $\|r\| \le$ tolerance $\|b\|$ or $\|r\| \le$ floor,
    when its numbers cease to be finite, or when $A$ is singular on the space; from then
    on it asks for no product. After `MAX_BASIS` iterations, the runs that go on begin
    anew from their solution, with one product for its residual; those that this does
    not bring closer stop.

    Args:
        product: maps (v, on) to $A v$ for the runs where the mask `on` is True.
        b: right-hand sides.
        start: first guess; None means zero, which saves the first product.
        tolerance: residual that suffices, relative to the right-hand side.
        floor: residual that always suffices, in the units of b.
        limit: largest number of iterations.

    Returns:
        The solutions, and the number of iterations of each run.

    Source: Saad and Schultz 1986.
    """
    goal = torch.clamp(tolerance * b.norm(dim=1), min=floor)
    on = torch.ones_like(goal, dtype=torch.bool)
    x, r = first_residual(product, b, start)
    residual, made = r.norm(dim=1), 0
    iterations = torch.zeros_like(goal, dtype=torch.int64)
    while True:
        length = min(MAX_BASIS, b.shape[1], limit - made)
        is_checked = limit > MAX_UNCHECKED_ITERATIONS
        cycle = _cycle(product, r, on, goal, length, is_checked=is_checked)
        x, made, iterations = x + cycle.move, made + length, iterations + cycle.made
        before, residual = residual, torch.where(on, cycle.residual, residual)
        on = cycle.on
        if made + 1 >= limit or (is_checked and not bool(on.any())):
            solved = torch.isfinite(residual) & (residual <= goal)
            return Solution(x, iterations, solved)
        r = masked(b - product(x, on), on)
        made, iterations = made + 1, iterations + on
        residual = torch.where(on, r.norm(dim=1), residual)
        on = on & (residual < before)


class _Cycle(NamedTuple):
    """What the iterations on one basis give.

    Args:
        move: change of the solution.
        residual: norm of the residual after it.
        made: iterations of each run.
        on: runs that have not stopped.
    """

    move: Float[Tensor, "runs n"]
    residual: Float[Tensor, " runs"]
    made: Int[Tensor, " runs"]
    on: Bool[Tensor, " runs"]


def _cycle(
    product: Callable[[Tensor, Tensor], Tensor],
    r: Float[Tensor, "runs n"],
    on: Bool[Tensor, " runs"],
    goal: Float[Tensor, " runs"],
    length: int,
    *,
    is_checked: bool,
) -> _Cycle:
    """Make some iterations from the residual r of the runs that are on.

    The Hessenberg matrix of the Arnoldi process becomes triangular by one rotation for
    each column. Where a run has stopped, its columns are those of the identity.
    """
    rounding = _ROUNDINGS * torch.finfo(r.dtype).eps
    rest = r.norm(dim=1)  # last entry of the rotated right-hand side
    count = torch.zeros_like(rest, dtype=torch.int64)
    on = on & torch.isfinite(rest) & (rest > goal)
    basis = [masked(r / rest[:, None], on)]
    columns: list[list[Tensor]] = []
    rotations: list[tuple[Tensor, Tensor]] = []
    entries: list[Tensor] = []
    for made in range(length):
        if is_checked and is_over(on, made):
            break
        w = masked(product(basis[-1], on), on)
        count = count + on
        short = rounding * w.norm(dim=1)
        column = []
        for v in basis:
            column.append(dot(v, w))
            w = w - column[-1][:, None] * v
        below = w.norm(dim=1)
        below = torch.where(below > short, below, torch.zeros_like(below))
        for i, (c, s) in enumerate(rotations):
            column[i : i + 2] = (
                c * column[i] + s * column[i + 1],
                c * column[i + 1] - s * column[i],
            )
        diagonal = (column[-1] * column[-1] + below * below).sqrt()
        on = on & torch.isfinite(diagonal) & (diagonal > short)
        c, s = masked(column[-1] / diagonal, on), masked(below / diagonal, on)
        diagonal = torch.where(on, diagonal, torch.ones_like(diagonal))
        columns.append([*(masked(one, on) for one in column[:-1]), diagonal])
        rotations.append((c, s))
        entries.append(masked(c * rest, on))
        rest = torch.where(on, -s * rest, rest)
        on = on & (rest.abs() > goal)
        basis.append(masked(w / below[:, None], on))
    move, weights = torch.zeros_like(r), entries.copy()
    for i in reversed(range(len(entries))):
        for j in range(i + 1, len(entries)):
            weights[i] = weights[i] - columns[j][i] * weights[j]
        weights[i] = weights[i] / columns[i][i]
        move = move + weights[i][:, None] * basis[i]
    return _Cycle(move, rest.abs(), count, on)
