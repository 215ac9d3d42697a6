"""One-sided CGD: one player moves as in CGD, the other stands still."""

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
from mmbench.core.literature import SCHAEFER_2020
from mmbench.core.oracle import Oracle


class OneSidedCGDState(NamedTuple):
    """Iterations of the inner solver so far."""

    iterations: Int[Tensor, "runs"]


@final
@dataclass(frozen=True, kw_only=True)
class OneSidedCGD(Algorithm):
    """One player's part of a step of competitive gradient descent, made alone.

        Δy =  ηᵧ (I + ηₓηᵧ f_yx f_xy)⁻¹ (f_y − ηₓ f_yx f_x)        (player = y)
        Δx = −ηₓ (I + ηₓηᵧ f_xy f_yx)⁻¹ (f_x + ηᵧ f_xy f_y)        (player = x)

    No method for games but a probe: the player foresees an answer of the other that
    never comes, so that what it gains is robust against such an answer.

    Args:
        player: who moves.
        step_size: η, a number or a pair (x, y), in units of z per unit of F; that of
            the player who stands still is the answer foreseen.
        tolerance: residual of the conjugate gradients relative to the right-hand side.
        iterations: most iterations of them in a step.

    State: inner iterations so far.
    Cost: 1 gradient of each player, 1 Hessian product and 2 an inner iteration.
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
        """What one step uses."""
        return Cost(grad_x=1, grad_y=1, hvps=1, hvps_per_iteration=2)

    def init(self, oracle: Oracle, z: Iterate) -> OneSidedCGDState:
        """No iteration yet."""
        return OneSidedCGDState(torch.zeros(len(z), dtype=torch.int64, device=z.device))

    def step(
        self, oracle: Oracle, z: Iterate, state: OneSidedCGDState
    ) -> tuple[Iterate, OneSidedCGDState]:
        """One step of every run."""
        eta_x, eta_y = sizes(self.step_size)
        x, y = oracle.split(z)
        f = oracle.linearise(z)
        f_x, f_y = f.grad_x, -f.grad_y
        if self.player == "x":
            solved = conjugate_gradient(
                lambda v, on: v + eta_x * eta_y * f.xy(f.yx(v, on=on), on=on),
                f_x + eta_y * f.xy(f_y),
                tolerance=self.tolerance,
                limit=self.iterations,
            )
            x = x - eta_x * solved.x
        else:
            solved = conjugate_gradient(
                lambda v, on: v + eta_x * eta_y * f.yx(f.xy(v, on=on), on=on),
                f_y - eta_x * f.yx(f_x),
                tolerance=self.tolerance,
                limit=self.iterations,
            )
            y = y + eta_y * solved.x
        z = oracle.project(oracle.join(x, y))
        return z, OneSidedCGDState(state.iterations + solved.iterations)
