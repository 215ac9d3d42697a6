"""CGD: competitive gradient descent."""

from dataclasses import dataclass
from typing import Literal, NamedTuple, final

import torch
from jaxtyping import Int
from torch import Tensor

from mmbench.algorithms._directions import sizes
from mmbench.algorithms.base import Algorithm, Iterate
from mmbench.core.capability import Capability
from mmbench.core.conjugate_gradient import conjugate_gradient
from mmbench.core.cost import Cost
from mmbench.core.domains import Count, Positive, StepSize
from mmbench.core.oracle import Oracle
from mmbench.core.source import Source


class CGDState(NamedTuple):
    """Iterations of the inner solver so far."""

    iterations: Int[Tensor, "runs"]


@final
@dataclass(frozen=True, kw_only=True)
class CGD(Algorithm):
    """Competitive gradient descent: each player steps to the local game's equilibrium.

        Δx = −ηₓ (I + ηₓηᵧ f_xy f_yx)⁻¹ (f_x + ηᵧ f_xy f_y)
        Δy =  ηᵧ (f_y + f_yx Δx)

    The local game is bilinear, each player's move damped by its step size; on xy it is
    the proximal point method and converges for every step size.

    Args:
        step_size: η, a number or a pair (x, y), in units of z per unit of F.
        solve: whose system is solved; the other's move follows from its answer. Exact
            solutions agree, so take the shorter player.
        tolerance: residual of the conjugate gradients relative to the right-hand side.
        iterations: most iterations of them in a step.

    State: inner iterations so far.
    Cost: 1 gradient of each player, 2 Hessian products and 2 an inner iteration.
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
        """What one step uses."""
        return Cost(grad_x=1, grad_y=1, hvps=2, hvps_per_iteration=2)

    def init(self, oracle: Oracle, z: Iterate) -> CGDState:
        """No iteration yet."""
        return CGDState(torch.zeros(len(z), dtype=torch.int64, device=z.device))

    def step(
        self, oracle: Oracle, z: Iterate, state: CGDState
    ) -> tuple[Iterate, CGDState]:
        """One step of every run."""
        eta_x, eta_y = sizes(self.step_size)
        f = oracle.linearise(z)
        f_x, f_y = f.grad_x, -f.grad_y
        if self.solve == "x":
            solved = conjugate_gradient(
                lambda v, on: v + eta_x * eta_y * f.xy(f.yx(v, on=on), on=on),
                f_x + eta_y * f.xy(f_y),
                tolerance=self.tolerance,
                limit=self.iterations,
            )
            dx = -eta_x * solved.x
            dy = eta_y * (f_y + f.yx(dx))
        else:
            solved = conjugate_gradient(
                lambda v, on: v + eta_x * eta_y * f.yx(f.xy(v, on=on), on=on),
                f_y - eta_x * f.yx(f_x),
                tolerance=self.tolerance,
                limit=self.iterations,
            )
            dy = eta_y * solved.x
            dx = -eta_x * (f_x + f.xy(dy))
        z = oracle.project(z + oracle.join(dx, dy))
        return z, CGDState(state.iterations + solved.iterations)
