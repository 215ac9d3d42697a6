"""CGD: competitive gradient descent."""

from dataclasses import dataclass, replace
from typing import Literal, final

from mmbench.algorithms._competitive import (
    SolverState,
    init_solver,
    move_of_x,
    move_of_y,
)
from mmbench.algorithms._directions import step_size_pair
from mmbench.algorithms.base import Algorithm, Iterate
from mmbench.core.cost import Cost
from mmbench.core.domains import Count, Positive, StepSize
from mmbench.core.literature import SCHAEFER_2019
from mmbench.core.oracle import Oracle


@final
@dataclass(frozen=True, kw_only=True)
class CGD(Algorithm):
    """Competitive gradient descent: both step to the equilibrium of a local game.

        Δx = −ηₓ (I − ηₓηᵧ f_xy g_yx)⁻¹ (∇ₓ f − ηᵧ f_xy ∇ᵧ g)
        Δy = −ηᵧ (∇ᵧ g + g_yx Δx)

    f and g are the losses of x and y, g = −f in a zero-sum game. The local game is
    bilinear, with a quadratic penalty on each move. On the game xy, the method is the
    proximal point method and converges for every step size.

    In zero-sum games the system is symmetric and positive definite and is solved by
    conjugate gradients, in others by GMRES; it may be singular there, as where both
    players want the same and η is the inverse of the largest singular value of f_xy.

    Args:
        step_size: η, a number or a pair (x, y), in units of z per unit of F.
        solve: player for which the system is solved; the other's move follows from it.
            Exact solutions are equal, so the player of fewer variables is faster.
        tolerance: residual of the solver relative to the right-hand side.
        iterations: largest number of solver iterations in a step.

    State: number of inner iterations.
    Cost: 1 gradient of each player and 2 Hessian products for each step, and 2 for each
        inner iteration; 2 gradients in games that are not zero-sum.
    Differs from the source: the authors' code for general-sum games solves the system
        of both players at once, from which this one follows by elimination.
    Source: Schäfer and Anandkumar 2019.
    """

    step_size: StepSize = 0.1
    solve: Literal["x", "y"] = "x"
    tolerance: Positive = 1e-6  # of the authors' script
    iterations: Count = 1000

    source = SCHAEFER_2019

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
        eta_x, eta_y = sizes = step_size_pair(self.step_size)
        at, limits = oracle.linearise(z, cross=True), (self.tolerance, self.iterations)
        if self.solve == "x":
            dx, iterations = move_of_x(oracle, at, sizes, *limits)
            dy = -eta_y * (at.grad_y + at.mixed_y(dx))
        else:
            dy, iterations = move_of_y(oracle, at, sizes, *limits)
            dx = -eta_x * (at.grad_x + at.mixed_x(dy))
        z = oracle.project(z + oracle.join(dx, dy))
        return z, SolverState(state.iterations + iterations)
