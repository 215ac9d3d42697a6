"""One-sided CGD: one player moves as in CGD and the other stays fixed."""

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
from mmbench.core.literature import SCHAEFER_2020
from mmbench.core.oracle import Oracle


@final
@dataclass(frozen=True, kw_only=True)
class OneSidedCGD(Algorithm):
    """Competitive gradient descent of one player while the other stays fixed.

        Δy = −ηᵧ (I − ηₓηᵧ g_yx f_xy)⁻¹ (∇ᵧ g − ηₓ g_yx ∇ₓ f)        (player = y)
        Δx = −ηₓ (I − ηₓηᵧ f_xy g_yx)⁻¹ (∇ₓ f − ηᵧ f_xy ∇ᵧ g)        (player = x)

    f and g are the losses of x and y, g = −f in a zero-sum game.

    It solves no game but measures one: the player anticipates an answer of the other
    that never comes, so that what it gains is robust against such an answer.

    Args:
        player: player that moves.
        step_size: η, a number or a pair (x, y), in units of z per unit of F; the step
            size of the fixed player is that of the anticipated answer.
        tolerance: residual of the solver relative to the right-hand side: conjugate
            gradients in zero-sum games, GMRES in others.
        iterations: largest number of solver iterations in a step.

    State: number of inner iterations.
    Cost: 1 gradient of each player and 1 Hessian product for each step, and 2 for each
        inner iteration; 2 gradients in games that are not zero-sum.
    Source: Schäfer, Zheng and Anandkumar 2020, Section 4.
    """

    player: Literal["x", "y"] = "y"
    step_size: StepSize = 0.1
    tolerance: Positive = 1e-6  # of the authors' code
    iterations: Count = 1000

    source = SCHAEFER_2020.at("Section 4")

    @property
    def cost(self) -> Cost:
        """The oracle calls that one step makes."""
        cost = Cost(grad_x=1, grad_y=1, hvps=1, hvps_per_iteration=2)
        return replace(cost, general_sum=replace(cost, grad_x=2, grad_y=2))

    def init(self, oracle: Oracle, z: Iterate) -> SolverState:
        """Return the state before the first step."""
        return init_solver(z)

    def step(
        self, oracle: Oracle, z: Iterate, state: SolverState
    ) -> tuple[Iterate, SolverState]:
        """Make one step of every run."""
        sizes = step_size_pair(self.step_size)
        at, limits = oracle.linearise(z, cross=True), (self.tolerance, self.iterations)
        x, y = oracle.split(z)
        if self.player == "x":
            dx, iterations = move_of_x(oracle, at, sizes, *limits)
            x = x + dx
        else:
            dy, iterations = move_of_y(oracle, at, sizes, *limits)
            y = y + dy
        z = oracle.project(oracle.join(x, y))
        return z, SolverState(state.iterations + iterations)
