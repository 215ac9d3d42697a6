"""Follow-the-ridge."""

from dataclasses import dataclass, replace
from typing import final

from mmbench.algorithms._competitive import SolverState, init_solver
from mmbench.algorithms._directions import step_size_pair
from mmbench.algorithms.base import Algorithm, Iterate
from mmbench.core.conjugate_gradient import conjugate_gradient
from mmbench.core.cost import Cost
from mmbench.core.domains import Count, NonNegative, Positive, StepSize
from mmbench.core.literature import WANG_2020
from mmbench.core.oracle import Oracle


@final
@dataclass(frozen=True, kw_only=True)
class FollowTheRidge(Algorithm):
    """Follow-the-ridge: y also moves so that x's step keeps y's gradient as it is.

        x⁺ = x − ηₓ ∇ₓ f
        y⁺ = y − ηᵧ ∇ᵧ g + ηₓ g_yy⁻¹ g_yx ∇ₓ f

    f and g are the losses of x and y, g = −f in a zero-sum game. Its stable points are
    exactly the strict local minimax points, whatever the step sizes' ratio.

    The correction u solves the damped normal equations (g_yy² + δ) u = g_yy g_yx ∇ₓ f,
    by conjugate gradients, since g_yy may be indefinite. Where g_yy = 0, as on xy,
    u is 0 and the step is that of GDA.

    Args:
        step_size: η, a number or a pair (x, y), in units of z per unit of gradient.
        damping: δ, in units of squared second derivatives.
        tolerance: residual of the conjugate gradients relative to the right-hand side.
        iterations: largest number of conjugate-gradient iterations in a step; the
            authors make 5 for GANs.

    State: number of inner iterations.
    Cost: 1 gradient of each player and 2 Hessian products for each step, and 2 for each
        inner iteration; 2 gradients in games that are not zero-sum.
    Differs from the source: the authors' code for GANs has RMSProp, adapts δ, and takes
        a finite difference for g_yx ∇ₓ f.
    Source: Wang, Zhang and Ba 2020, Algorithm 1.
    """

    step_size: StepSize = 0.1
    damping: NonNegative = 0.0
    tolerance: Positive = 1e-6
    iterations: Count = 100

    source = WANG_2020

    @property
    def cost(self) -> Cost:
        """The oracle calls that one step makes."""
        cost = Cost(grad_x=1, grad_y=1, hvps=2, hvps_per_iteration=2)
        return replace(cost, general_sum=replace(cost, grad_x=2, grad_y=2))

    def init(self, oracle: Oracle, z: Iterate) -> SolverState:
        """Return the state before the first step."""
        return init_solver(z)

    def step(
        self, oracle: Oracle, z: Iterate, state: SolverState
    ) -> tuple[Iterate, SolverState]:
        """Make one step of every run."""
        eta_x, eta_y = step_size_pair(self.step_size)
        at = oracle.linearise(z, cross=True)
        slope = at.through_cross_y(at.grad_x)[1]  # g_yx ∇ₓ f
        solved = conjugate_gradient(
            lambda v, on: (
                at.through_y(at.through_y(v, on=on)[1], on=on)[1] + self.damping * v
            ),
            at.through_y(slope)[1],
            tolerance=self.tolerance,
            limit=self.iterations,
        )
        dx, dy = -eta_x * at.grad_x, -eta_y * at.grad_y + eta_x * solved.x
        z = oracle.project(z + oracle.join(dx, dy))
        return z, SolverState(state.iterations + solved.iterations)
