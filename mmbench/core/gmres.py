"""GMRES for many runs at once, each with its own stop."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mmbench.core.conjugate_gradient import Matrix, first_residual
from mmbench.core.repetition import (
    MAX_UNCHECKED_ITERATIONS,
    grow,
    repeat,
    unless_all,
)
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
    product: Matrix,
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
        product: the matrices $A$.
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
    is_checked = limit > MAX_UNCHECKED_ITERATIONS
    longest = min(MAX_BASIS, b.shape[1])
    first, *others = _lengths(longest, limit) or [0]

    def restart(at: _Iterate, length: int = longest) -> _Iterate:
        some = unless_all(at.on)
        r = masked(b - product(at.x, some), some)
        iterations = at.iterations + at.on
        residual = torch.where(at.on, r.norm(dim=1), at.residual)
        on = at.on & (residual < at.before)
        # All cycles of a loop are of one length, so that masks end the last one.
        left = limit - iterations if is_checked else None
        cycle = _cycle(product, r, on, goal, length, left, is_checked=is_checked)
        after = torch.where(on, cycle.residual, residual)
        x, iterations = at.x + cycle.move, iterations + cycle.made
        return _Iterate(cycle.on, x, residual, after, iterations)

    x, r = first_residual(product, b, start)
    on, residual = torch.ones_like(goal, dtype=torch.bool), r.norm(dim=1)
    cycle = _cycle(product, r, on, goal, first, is_checked=is_checked)
    at = _Iterate(cycle.on, x + cycle.move, residual, cycle.residual, cycle.made)
    if is_checked:
        at = repeat(restart, at, len(others), is_always_checked=True)
    else:
        for length in others:
            at = restart(at, length)
    solved = torch.isfinite(at.residual) & (at.residual <= goal)
    return Solution(at.x, at.iterations, solved)


def _lengths(longest: int, limit: int) -> list[int]:
    """Return the iterations of each cycle; between two of them there is one product."""
    full, rest = divmod(limit, longest + 1)
    return [longest] * full + [rest] * (rest > 0)


class _Iterate(NamedTuple):
    """What changes from cycle to cycle.

    Args:
        on: runs that go on.
        x: approximate solutions.
        before: norm of the residual before the last cycle.
        residual: norm of the residual after it.
        iterations: as in `Solution`.
    """

    on: Bool[Tensor, " runs"]
    x: Float[Tensor, "runs n"]
    before: Float[Tensor, " runs"]
    residual: Float[Tensor, " runs"]
    iterations: Int[Tensor, " runs"]


class _Cycle(NamedTuple):
    """What the iterations on one basis give.

    Args:
        on: runs that have not stopped.
        move: change of the solution.
        residual: norm of the residual after it.
        made: iterations of each run.
    """

    on: Bool[Tensor, " runs"]
    move: Float[Tensor, "runs n"]
    residual: Float[Tensor, " runs"]
    made: Int[Tensor, " runs"]


class _Basis(NamedTuple):
    """What grows from iteration to iteration.

    Args:
        on: runs that go on.
        made: iterations of each run.
        rest: last entry of the rotated right-hand side.
        vectors: the basis.
        columns: of the triangular matrix.
        rotations: cosine and sine of each.
        entries: of the rotated right-hand side, but for the last.
    """

    on: Bool[Tensor, " runs"]
    made: Int[Tensor, " runs"]
    rest: Float[Tensor, " runs"]
    vectors: tuple[Tensor, ...]
    columns: tuple[list[Tensor], ...] = ()
    rotations: tuple[tuple[Tensor, Tensor], ...] = ()
    entries: tuple[Tensor, ...] = ()


def _cycle(
    product: Matrix,
    r: Float[Tensor, "runs n"],
    on: Bool[Tensor, " runs"],
    goal: Float[Tensor, " runs"],
    length: int,
    left: Int[Tensor, " runs"] | None = None,
    *,
    is_checked: bool,
) -> _Cycle:
    """Make some iterations from the residual r of the runs that are on.

    The Hessenberg matrix of the Arnoldi process becomes triangular by one rotation for
    each column. Where a run has stopped, its columns are those of the identity.

    Args:
        product, r, on, goal: as in `gmres`, for the runs that are on.
        length: largest number of iterations.
        left: largest number for each run; None if that is no less.
        is_checked: whether the iterations end where no run goes on.
    """
    rounding = _ROUNDINGS * torch.finfo(r.dtype).eps

    def turn(at: _Basis) -> _Basis:
        on, made, rest, basis, columns, rotations, entries = at
        some = unless_all(on)
        w = masked(product(basis[-1], some), some)
        made = made + on
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
        column = [*(masked(one, on) for one in column[:-1]), diagonal]
        entry, rest = masked(c * rest, on), torch.where(on, -s * rest, rest)
        on = on & (rest.abs() > goal)
        if left is not None:
            on = on & (made < left)
        return _Basis(
            on,
            made,
            rest,
            (*basis, masked(w / below[:, None], on)),
            (*columns, column),
            (*rotations, (c, s)),
            (*entries, entry),
        )

    def finish(at: _Basis) -> _Cycle:
        move, weights = torch.zeros_like(r), list(at.entries)
        for i in reversed(range(len(weights))):
            for j in range(i + 1, len(weights)):
                weights[i] = weights[i] - at.columns[j][i] * weights[j]
            weights[i] = weights[i] / at.columns[i][i]
            move = move + weights[i][:, None] * at.vectors[i]
        return _Cycle(at.on, move, at.rest.abs(), at.made)

    rest = r.norm(dim=1)
    made = torch.zeros_like(rest, dtype=torch.int64)
    on = on & torch.isfinite(rest) & (rest > goal)
    begun = _Basis(on, made, rest, (masked(r / rest[:, None], on),))
    return grow(turn, begun, finish, length, is_checked=is_checked)
