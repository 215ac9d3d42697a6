"""The proximal point method."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, final

import torch
from jaxtyping import Int
from torch import Tensor

from mmbench.algorithms._competitive import SolverState, init_solver
from mmbench.algorithms.base import Algorithm, Iterate
from mmbench.core.cost import Cost
from mmbench.core.domains import Count, Positive, StepSize
from mmbench.core.gmres import gmres
from mmbench.core.linearisation import Linearisation
from mmbench.core.literature import ROCKAFELLAR_1976
from mmbench.core.oracle import Oracle
from mmbench.core.repetition import is_over
from mmbench.core.vectors import Mask, Vector, keep, masked


@final
@dataclass(frozen=True, kw_only=True)
class ProximalPoint(Algorithm):
    """Proximal point: a step along the field at the point where it ends.

        z⁺ = z − η F(z⁺),   or z⁺ = P(z − η F(z⁺)) with constraints

    It converges in every convex-concave game at every step size, and many methods
    approximate it. z⁺ is found from w = z on by one of two inner loops:

        newton:      w ← w − (I + η J(w))⁻¹ (w − z + η F(w))
        fixed_point: w ← P(z − η F(w))

    Newton's systems are solved by GMRES. One Newton step is exact in quadratic games;
    with constraints its result is projected, which is not z⁺ on the boundary. Fixed
    points converge for η below the inverse of F's Lipschitz constant; a single
    iteration is a step of GDA, and two are one of extragradient.

    Args:
        step_size: η, a number or a pair (x, y), in units of z per unit of F.
        solver: the inner loop.
        tolerance: error that suffices, relative to the first move η F(z): the residual
            w − z + η F(w) for Newton and in GMRES, the last move for fixed points.
        iterations: largest number of GMRES iterations in a Newton step, or of
            iterations of the fixed point.
        newton_steps: number of Newton steps; a run that needs fewer rests.

    State: number of inner iterations.
    Cost: newton: for each Newton step 1 gradient of each player, 2 in games that are
        not zero-sum, and for each GMRES iteration 2 Hessian products, or 4;
        fixed_point: 1 gradient of each player for each iteration.
    Source: Martinet 1970; Rockafellar 1976.
    """

    step_size: StepSize = 0.1
    solver: Literal["newton", "fixed_point"] = "newton"
    tolerance: Positive = 1e-6
    iterations: Count = 100
    newton_steps: Count = 2

    source = ROCKAFELLAR_1976

    @property
    def cost(self) -> Cost:
        """The oracle calls that one step makes."""
        if self.solver == "fixed_point":
            return Cost(
                grad_x=1, grad_y=1, grads_x_per_iteration=1, grads_y_per_iteration=1
            )
        n = self.newton_steps
        cost = Cost(grad_x=n, grad_y=n, hvps_per_iteration=2)
        general = replace(cost, grad_x=2 * n, grad_y=2 * n, hvps_per_iteration=4)
        return replace(cost, general_sum=general)

    def init(self, oracle: Oracle, z: Iterate) -> SolverState:
        """Return the state before the first step."""
        return init_solver(z)

    def step(
        self, oracle: Oracle, z: Iterate, state: SolverState
    ) -> tuple[Iterate, SolverState]:
        """Make one step of every run."""
        solve = self._newton if self.solver == "newton" else self._fixed_point
        z, iterations = solve(oracle, z)
        return z, SolverState(state.iterations + iterations)

    def _newton(
        self, oracle: Oracle, z: Iterate
    ) -> tuple[Iterate, Int[Tensor, " runs"]]:
        """Return where a step ends by Newton's method, and its GMRES iterations."""
        w, made = z, torch.zeros_like(oracle.alive, dtype=torch.int64)
        goal = torch.zeros_like(z[:, 0])
        for i in range(self.newton_steps):
            at = oracle.linearise(w, cross=True)
            field = oracle.join(at.grad_x, at.grad_y)
            residual = w - z + oracle.scale(self.step_size, field)
            if i == 0:
                goal = self.tolerance * residual.norm(dim=1)
            on = oracle.alive & (residual.norm(dim=1) > goal)
            solved = gmres(
                partial(self._product, oracle, at),
                masked(residual, on),
                tolerance=self.tolerance,
                limit=self.iterations,
            )
            w, made = w - solved.x, made + solved.iterations
        return oracle.project(w), made

    def _product(
        self, oracle: Oracle, at: Linearisation, v: Vector, on: Mask | None
    ) -> Vector:
        """Return (I + η J) v for some runs."""
        jv = oracle.join(*at.jacobian(*oracle.split(v), on=on))
        return v + oracle.scale(self.step_size, jv)

    def _fixed_point(
        self, oracle: Oracle, z: Iterate
    ) -> tuple[Iterate, Int[Tensor, " runs"]]:
        """Return where a step ends by fixed points, and its iterations but one."""
        w, on = z, oracle.alive
        made = torch.zeros_like(on, dtype=torch.int64)
        goal = torch.zeros_like(z[:, 0])
        for i in range(self.iterations):
            made = made + (on if i else 0)
            moved = z - oracle.scale(self.step_size, oracle.field(w, on=on))
            moved = keep(on, oracle.project(moved), w)
            change, w = (moved - w).norm(dim=1), moved
            if i == 0:
                goal = self.tolerance * change
            on = on & torch.isfinite(change) & (change > goal)
            if is_over(on, i + 1, self.iterations):
                break
        return w, made
