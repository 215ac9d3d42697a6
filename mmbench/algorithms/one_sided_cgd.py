"""One-sided CGD: one player moves as in CGD and the other stays fixed."""

from dataclasses import dataclass
from typing import Literal, final

from mmbench.algorithms._competitive import (
    SolverState,
    init_solver,
    move_of_x,
    move_of_y,
)
from mmbench.algorithms._directions import step_size_pair
from mmbench.algorithms.base import Algorithm, Iterate
from mmbench.core.capability import Capability
from mmbench.core.cost import Cost
from mmbench.core.domains import Count, Positive, StepSize
from mmbench.core.literature import SCHAEFER_2020
from mmbench.core.oracle import Oracle


@final
@dataclass(frozen=True, kw_only=True)
class OneSidedCGD(Algorithm):
    """Competitive gradient descent of one player while the other stays fixed.

        Δy =  ηᵧ (I + ηₓηᵧ f_yx f_xy)⁻¹ (f_y − ηₓ f_yx f_x)        (player = y)
        Δx = −ηₓ (I + ηₓηᵧ f_xy f_yx)⁻¹ (f_x + ηᵧ f_xy f_y)        (player = x)

    It solves no game but measures one: the player anticipates an answer of the other
    that never comes, so that what it gains is robust against such an answer.

    Args:
        player: player that moves.
        step_size: η, a number or a pair (x, y), in units of z per unit of F; the step
            size of the fixed player is that of the anticipated answer.
        tolerance: residual of the conjugate gradients relative to the right-hand side.
        iterations: largest number of conjugate-gradient iterations in a step.

    State: number of inner iterations.
    Cost: 1 gradient of each player and 1 Hessian product for each step, and 2 for each
        inner iteration.
    Source: Schäfer, Zheng and Anandkumar 2020, Section 4.
    """

    player: Literal["x", "y"] = "y"
    step_size: StepSize = 0.1
    tolerance: Positive = 1e-6  # of the authors' code
    iterations: Count = 1000

    source = SCHAEFER_2020.at("Section 4")
    needs = frozenset({Capability.ZERO_SUM})

    @property
    def cost(self) -> Cost:
        """The oracle calls that one step makes."""
        return Cost(grad_x=1, grad_y=1, hvps=1, hvps_per_iteration=2)

    def init(self, oracle: Oracle, z: Iterate) -> SolverState:
        """Return the state before the first step."""
        return init_solver(z)

    def step(
        self, oracle: Oracle, z: Iterate, state: SolverState
    ) -> tuple[Iterate, SolverState]:
        """Make one step of every run."""
        sizes = step_size_pair(self.step_size)
        f = oracle.linearise(z)
        x, y = oracle.split(z)
        if self.player == "x":
            dx, iterations = move_of_x(f, sizes, self.tolerance, self.iterations)
            x = x + dx
        else:
            dy, iterations = move_of_y(f, sizes, self.tolerance, self.iterations)
            y = y + dy
        z = oracle.project(oracle.join(x, y))
        return z, SolverState(state.iterations + iterations)
