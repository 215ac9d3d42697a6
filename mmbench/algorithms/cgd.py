"""CGD: competitive gradient descent."""

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
from mmbench.core.oracle import Oracle
from mmbench.core.source import Source


@final
@dataclass(frozen=True, kw_only=True)
class CGD(Algorithm):
    """Competitive gradient descent: both step to the equilibrium of a local game.

        Δx = −ηₓ (I + ηₓηᵧ f_xy f_yx)⁻¹ (f_x + ηᵧ f_xy f_y)
        Δy =  ηᵧ (f_y + f_yx Δx)

    The local game is bilinear, with a quadratic penalty on each move. On the game xy,
    the method is the proximal point method and converges for every step size.

    Args:
        step_size: η, a number or a pair (x, y), in units of z per unit of F.
        solve: player for which the system is solved; the other's move follows from it.
            Exact solutions are equal, so the player of fewer variables is faster.
        tolerance: residual of the conjugate gradients relative to the right-hand side.
        iterations: largest number of conjugate-gradient iterations in a step.

    State: number of inner iterations.
    Cost: 1 gradient of each player and 2 Hessian products for each step, and 2 for each
        inner iteration.
    Source: Schäfer and Anandkumar 2019.
    """

    step_size: StepSize = 0.1
    solve: Literal["x", "y"] = "x"
    tolerance: Positive = 1e-6  # of the authors' script
    iterations: Count = 1000

    source = Source(
        authors="Schäfer and Anandkumar",
        year=2019,
        title="Competitive Gradient Descent",
        link="https://arxiv.org/abs/1905.12103",
    )
    needs = frozenset({Capability.ZERO_SUM})

    @property
    def cost(self) -> Cost:
        """The oracle calls that one step makes."""
        return Cost(grad_x=1, grad_y=1, hvps=2, hvps_per_iteration=2)

    def init(self, oracle: Oracle, z: Iterate) -> SolverState:
        """Return the state before the first step."""
        return init_solver(z)

    def step(
        self, oracle: Oracle, z: Iterate, state: SolverState
    ) -> tuple[Iterate, SolverState]:
        """Make one step of every run."""
        eta_x, eta_y = sizes = step_size_pair(self.step_size)
        f = oracle.linearise(z)
        if self.solve == "x":
            dx, iterations = move_of_x(f, sizes, self.tolerance, self.iterations)
            dy = eta_y * (f.yx(dx) - f.grad_y)
        else:
            dy, iterations = move_of_y(f, sizes, self.tolerance, self.iterations)
            dx = -eta_x * (f.grad_x + f.xy(dy))
        z = oracle.project(z + oracle.join(dx, dy))
        return z, SolverState(state.iterations + iterations)
