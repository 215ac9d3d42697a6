"""The Stackelberg gradient: x leads and counts on y's best answer."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple, final

import torch
from jaxtyping import Int
from torch import Tensor

from mmbench.algorithms._directions import Directions, Plain, init_joint, step_joint
from mmbench.algorithms.base import Algorithm, Iterate
from mmbench.core.cost import Cost
from mmbench.core.domains import Count, NonNegative, Positive, StepSize
from mmbench.core.gmres import gmres
from mmbench.core.literature import FIEZ_2020
from mmbench.core.oracle import Oracle
from mmbench.core.priors import Choice, SearchSpace


class StackelbergState(NamedTuple):
    """The state of the Stackelberg gradient.

    Args:
        moments: moments of the directions.
        iterations: number of iterations of the inner solver.
    """

    moments: Any
    iterations: Int[Tensor, " runs"]


@final
@dataclass(frozen=True, kw_only=True)
class Stackelberg(Algorithm):
    """Stackelberg gradient: x descends on its loss with y's answer taken into account.

        x⁺ = x − ηₓ (∇ₓ f − g_xy (g_yy + δ)⁻¹ ∇ᵧ f)
        y⁺ = y − ηᵧ ∇ᵧ g

    f and g are the losses of x, the leader, and y, the follower, whose answer to x
    moves by −g_yy⁻¹ g_yx. In zero-sum games the stable points are exactly the strict
    local minimax points, as of `follow_the_ridge`, which corrects y's step instead.

    The system is solved by GMRES, since g_yy may be indefinite. Where g_yy = δ = 0, as
    on xy, the correction is 0 and the step is that of GDA.

    Args:
        step_size: η, a number or a pair (x, y), in units of z per unit of gradient.
        damping: δ, in units of second derivatives. The authors take 1 for GANs on
            mixtures of Gaussians, and 10,000 on MNIST.
        tolerance: residual of the solver relative to the right-hand side.
        iterations: largest number of solver iterations in a step, each of which keeps
            a vector of y's length. The authors' code has no limit, or makes 5 of
            conjugate gradients.
        direction: how gradients become directions; one for both, or a pair (x, y). The
            authors use Adam for GANs.

    State: moments of the directions, number of inner iterations.
    Cost: 1 gradient of each player and 1 Hessian product for each step, and 1 for each
        inner iteration; 2 gradients in games that are not zero-sum.
    Source: Fiez, Chasnov and Ratliff 2020.
    """

    step_size: StepSize = 0.1
    damping: NonNegative = 0.0
    tolerance: Positive = 1e-6
    iterations: Count = 32
    direction: Directions = Plain()

    source = FIEZ_2020
    tuned: ClassVar[SearchSpace] = {
        "damping": Choice(
            (0.0, 0.001, 0.01, 0.1, 1.0),
            "It is added to the curvature of y before it is inverted; none, and "
            "decades up to curvatures of 1.",
        )
    }

    @property
    def cost(self) -> Cost:
        """The oracle calls that one step makes."""
        cost = Cost(grad_x=1, grad_y=1, hvps=1, hvps_per_iteration=1)
        return replace(cost, general_sum=replace(cost, grad_x=2, grad_y=2))

    def init(self, oracle: Oracle, z: Iterate) -> StackelbergState:
        """Return the first moments of the directions, and no iterations."""
        none = torch.zeros(len(z), dtype=torch.int64, device=z.device)
        return StackelbergState(init_joint(self.direction, oracle, z), none)

    def step(
        self, oracle: Oracle, z: Iterate, state: StackelbergState
    ) -> tuple[Iterate, StackelbergState]:
        """Make one step of every run."""
        at = oracle.linearise(z, cross=True)
        solved = gmres(
            lambda v, on: at.through_y(v, on=on)[1] + self.damping * v,
            at.cross_x,
            tolerance=self.tolerance,
            limit=self.iterations,
        )
        total = at.grad_x - at.through_y(solved.x)[0]
        d, moments = step_joint(
            self.direction, oracle, oracle.join(total, at.grad_y), state.moments
        )
        z = oracle.project(z - oracle.scale(self.step_size, d))
        return z, StackelbergState(moments, state.iterations + solved.iterations)
